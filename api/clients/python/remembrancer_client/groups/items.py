"""Calls on items: JSON values under a path of labels and a key."""

from __future__ import annotations

from collections.abc import Sequence
from types import NoneType
from typing import TYPE_CHECKING, Any

from remembrancer_client.answers.operations import ItemAnswer, ItemsFound, ItemStored, PathsAnswer
from remembrancer_client.calls import Call, ConnectionT_co, Description, Group, Request
from remembrancer_client.options.workflows import GetOptions, ItemScope, ItemSearchOptions, PathOptions, PutOptions

if TYPE_CHECKING:
    from typing_extensions import Unpack

PAGE = 30
"""Items to read with one call: 30 values of 1 MiB fit into an answer, which has at most 32 MiB."""


class Items(Group[ConnectionT_co]):
    """The calls on items. A path is a list of labels without dots; an item's key is unique under its path.

    Putting and deleting are repeated after a broken connection: the key makes them idempotent.
    """

    @Call
    def put(self, path: Sequence[str], key: str, value: Any, **options: Unpack[PutOptions]) -> Description[ItemStored]:
        """Store `value`, any JSON up to 1 MiB, under the key, in place of what was there."""
        body = self._body(options, path=_labels(path), key=key, value=value)
        return Request("PUT", "/v1/items", ItemStored, body=body, repeatable=True)

    @Call
    def get(self, path: Sequence[str], key: str, **options: Unpack[GetOptions]) -> Description[ItemAnswer]:
        """The item; NotFound if there is none."""
        return self._get("/v1/items", ItemAnswer, options, path=_dotted(path), key=key)

    @Call
    def delete(self, path: Sequence[str], key: str, **options: Unpack[ItemScope]) -> Description[None]:
        """Delete the item, if there is one."""
        query = self._query(options, path=_dotted(path), key=key)
        return Request("DELETE", "/v1/items", NoneType, query=query, repeatable=True)

    @Call
    def search(self, prefix: Sequence[str] = (), **options: Unpack[ItemSearchOptions]) -> Description[ItemsFound]:
        """The items whose path begins with the labels of `prefix`, best first; without a query, the latest put."""
        return self._ask("/v1/items/search", ItemsFound, options, prefix=_labels(prefix))

    @Call
    def paths(self, **options: Unpack[PathOptions]) -> Description[PathsAnswer]:
        """The paths that have items."""
        return self._ask("/v1/items/paths", PathsAnswer, options)


def _labels(path: Sequence[str]) -> list[str]:
    """The labels of a path. Raises TypeError for a text, whose characters would become the labels."""
    if isinstance(path, str):
        raise TypeError(f"a path is a list of labels, such as [{path!r}], not a text")
    return list(path)


def _dotted(path: Sequence[str]) -> str:
    """The labels joined by dots. Raises ValueError for a label that is empty or contains a dot."""
    for label in _labels(path):
        if not label or "." in label:
            raise ValueError(f"not a label of a path: {label!r}; it must not be empty or contain a dot")
    return ".".join(path)
