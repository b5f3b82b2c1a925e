"""HTTP calls on keyed items: JSON values under a path and a key, as the stores of agent frameworks
need them.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any, Literal

from litestar.params import JSONBody
from pydantic import AfterValidator, AliasPath, BeforeValidator, Field, StringConstraints

from api.auth.keys import Role
from api.http.endpoint import Endpoint, Params, QueryScope, agent_scope
from api.http.request import ApiRequest, AsAgent, QueryFlag
from api.wiring.container import AppServices
from ingest.keyed_items import ItemPut
from memtypes.items.filters import ItemFilter
from memtypes.items.index_paths import IndexPaths
from memtypes.items.item import (
    MAX_TTL_S,
    ItemAddress,
    ItemSearch,
    Key,
    Path,
    PathListing,
    PathMatch,
)
from memtypes.model.errors import NotFound
from memtypes.model.memory import Flag, Number, Whole, not_blank
from memtypes.model.times import Instant
from retrieval.answer import Answer, OmittedIfNone

MAX_OFFSET = 1_000_000

PUT_BYTES = 4 * 1024 * 1024
"""Largest body that puts an item. Its value may have 1 MiB, which takes more bytes when JSON
escapes it.
"""


def _paths(index: object) -> object:
    if index is None or isinstance(index, list):
        return index
    if index is False:
        return []
    raise ValueError("must be false or a list of paths")


Index = Annotated[
    IndexPaths | None,
    BeforeValidator(_paths, json_schema_input_type=Literal[False] | list[str] | None),
]
"""Paths of the texts by which searches find an item. False means none; null or no `index` means the
whole value.
"""


def _labels(text: object) -> object:
    return (text.split(".") if text else []) if isinstance(text, str) else text


class ItemIn(AsAgent):
    """A value to store under a path (a list of labels, such as ["users", "ada"]) and a key.

    index: where in the value to find the texts by which a search finds the item, such as `title` or
    `parts[*].text`; false for no texts; by default the whole value. ttl_s: seconds after which the
    item expires, counted from the last put or the last read with `refresh_ttl`; by default it does
    not expire.
    """

    path: Path = ()
    key: Key
    value: Any
    index: Index = None
    ttl_s: Annotated[Number, Field(gt=0, le=MAX_TTL_S)] | None = None


class ItemParams(AsAgent):
    """The address of a keyed item. path: its labels, joined by dots, such as `users.ada`; the root
    if left out.
    """

    path: Annotated[Path, BeforeValidator(_labels)] = ()
    key: Key

    @property
    def address(self) -> ItemAddress:
        """The path and the key as an `ItemAddress`."""
        return ItemAddress(path=self.path, key=self.key)


class ItemRead(ItemParams):
    """The address of a keyed item to read. refresh_ttl: whether to restart its time to live."""

    refresh_ttl: QueryFlag = False


class ItemsSearch(AsAgent):
    """A search for keyed items. prefix: labels with which the paths of the items begin.

    query: text to compare with the items by meaning, most similar first. Without a query, items put
    last come first. filter: conditions on members of the values, such as {"color": "red", "size":
    {"$gt": 3}}, with the operators $eq, $ne, $gt, $gte, $lt and $lte. refresh_ttl: whether to
    restart the time to live of the items in the answer.
    """

    prefix: Path = ()
    query: (
        Annotated[str, StringConstraints(max_length=20_000), AfterValidator(not_blank)] | None
    ) = None
    filter: dict[str, Any] | None = None
    limit: Annotated[Whole, Field(ge=0, le=1_000)] = 10
    offset: Annotated[Whole, Field(ge=0, le=MAX_OFFSET)] = 0
    refresh_ttl: Flag = False


class PathsIn(AsAgent):
    """Which paths of keyed items to list. match: conditions on their first or last labels, all of
    which must be met.

    max_depth: cut longer paths to this many labels.
    """

    match: Annotated[list[PathMatch], Field(max_length=32)] = Field(default_factory=list)
    max_depth: Annotated[Whole, Field(ge=1)] | None = None
    limit: Annotated[Whole, Field(ge=0, le=10_000)] = 100
    offset: Annotated[Whole, Field(ge=0, le=MAX_OFFSET)] = 0


class ItemStored(Answer):
    """When a keyed item was first put at its address, when it was last put, and when it expires."""

    created_at: Instant
    updated_at: Instant
    expires_at: OmittedIfNone[Instant] = None


class ItemAnswer(Answer):
    """A JSON value stored under a path and a key.

    score: cosine similarity of the search's query and the most similar text in the value; left out
    without a query, or if the item has no texts to search.
    """

    path: list[str] = Field(validation_alias=AliasPath("address", "path"))
    key: str = Field(validation_alias=AliasPath("address", "key"))
    value: Any
    created_at: Instant
    updated_at: Instant
    expires_at: OmittedIfNone[Instant] = None
    agent_id: OmittedIfNone[str] = None
    score: OmittedIfNone[float] = None


class ItemsFound(Answer):
    """Keyed items that a search found, ordered by similarity to the query or, without a query,
    latest put first.
    """

    items: list[ItemAnswer]


class PathsAnswer(Answer):
    """Paths that have keyed items, sorted. A path is a list of labels."""

    paths: list[list[str]]


@Endpoint(
    "PUT /v1/items", role=Role.WRITER, errors=(429, 503), max_bytes=PUT_BYTES, any_integer=True
)
async def put_item(
    request: ApiRequest, services: AppServices, data: JSONBody[ItemIn]
) -> ItemStored:
    """Store a JSON value under a path (a list of labels) and a key."""
    scope = request.agent_scope(data.namespace, agent_id=data.agent_id)
    index = None if data.index is None else tuple(data.index)
    ttl = None if data.ttl_s is None else timedelta(seconds=data.ttl_s)
    address = ItemAddress(path=data.path, key=data.key)
    item = await services.items.put(scope, ItemPut(address, data.value, index, ttl))
    return ItemStored.model_validate(item, from_attributes=True)


@Endpoint("GET /v1/items", errors=(404, 503), head=False, scope=agent_scope)
async def get_item(
    services: AppServices, namespace: QueryScope, params: Params[ItemRead]
) -> ItemAnswer:
    """Read the item under a path and a key."""
    item = await services.items.get(namespace, params.address, refresh=params.refresh_ttl)
    if item is None:
        raise NotFound(f"no item {params.key!r} at {'.'.join(params.path) or 'the root'}")
    return ItemAnswer.model_validate(item, from_attributes=True)


@Endpoint("DELETE /v1/items", role=Role.WRITER, status=204, errors=(503,), scope=agent_scope)
async def delete_item(
    services: AppServices, namespace: QueryScope, params: Params[ItemParams]
) -> None:
    """Remove the item under a path and a key."""
    await services.items.delete(namespace, params.address)


@Endpoint("POST /v1/items/search", errors=(429, 503), any_integer=True)
async def search_items(
    request: ApiRequest, services: AppServices, data: JSONBody[ItemsSearch]
) -> ItemsFound:
    """Search the keyed items under a path."""
    scope = request.agent_scope(data.namespace, agent_id=data.agent_id)
    filter_ = None if data.filter is None else ItemFilter.parse(data.filter)
    search = ItemSearch(data.prefix, filter_, None, data.limit, data.offset, data.refresh_ttl)
    items = await services.items.search(scope, search, data.query)
    return ItemsFound.model_validate({"items": items}, from_attributes=True)


@Endpoint("POST /v1/items/paths", errors=(503,))
async def list_item_paths(
    request: ApiRequest, services: AppServices, data: JSONBody[PathsIn]
) -> PathsAnswer:
    """List the paths that have keyed items."""
    scope = request.agent_scope(data.namespace, agent_id=data.agent_id)
    listing = PathListing(tuple(data.match), data.max_depth, data.limit, data.offset)
    return PathsAnswer(paths=[list(path) for path in await services.items.paths(scope, listing)])
