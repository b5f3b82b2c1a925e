"""Calls on items. An item is a JSON value stored under a path (a list of labels) and a key."""

from __future__ import annotations

from collections.abc import Sequence
from types import NoneType
from typing import TYPE_CHECKING, Any

from remembrancer_client.answers import ItemAnswer, ItemsFound, ItemStored, PathsAnswer
from remembrancer_client.calls import Call, ConnectionT_co, Group
from remembrancer_client.options import (
    GetOptions,
    ItemScope,
    ItemSearchOptions,
    PathOptions,
    PutOptions,
)
from remembrancer_client.request import Description, Request

if TYPE_CHECKING:
    from typing_extensions import Unpack

PAGE = 30
"""Maximum items to read with one call: 30 values of 1 MiB fit into an answer, which has at most 32
MiB.
"""


class Items(Group[ConnectionT_co]):
    """The group `client.items`. A path is a list of labels without dots; an item's key is unique
    under its path.

    `put` and `delete` are sent again after a broken connection, because repeating them changes
    nothing.
    """

    @Call
    def put(
        self, path: Sequence[str], key: str, value: Any, **options: Unpack[PutOptions]
    ) -> Description[ItemStored]:
        """Store `value`, any JSON up to 1 MiB, under the path and key. Replaces the value that was
        there.
        """
        body = self._body(options, path=_labels(path), key=key, value=value)
        return Request("PUT", "/v1/items", ItemStored, body=body, repeatable=True)

    @Call
    def get(
        self, path: Sequence[str], key: str, **options: Unpack[GetOptions]
    ) -> Description[ItemAnswer]:
        """The item (a JSON value with its times) under the path and key. Raises NotFound if there
        is none.
        """
        return self._get("/v1/items", ItemAnswer, options, path=_dotted(path), key=key)

    @Call
    def delete(
        self, path: Sequence[str], key: str, **options: Unpack[ItemScope]
    ) -> Description[None]:
        """Delete the item under the path and key, if it exists."""
        query = self._query(options, path=_dotted(path), key=key)
        return Request("DELETE", "/v1/items", NoneType, query=query, repeatable=True)

    @Call
    def search(
        self, prefix: Sequence[str] = (), **options: Unpack[ItemSearchOptions]
    ) -> Description[ItemsFound]:
        """Find items whose path begins with the labels of `prefix`, best first, or the newest first
        without a query.
        """
        return self._ask("/v1/items/search", ItemsFound, options, prefix=_labels(prefix))

    @Call
    def paths(self, **options: Unpack[PathOptions]) -> Description[PathsAnswer]:
        """The paths under which items are stored and that match the options, sorted."""
        return self._ask("/v1/items/paths", PathsAnswer, options)


def _labels(path: Sequence[str]) -> list[str]:
    """The labels of a path, as a list. Raises TypeError for a string, whose characters would become
    the labels.
    """
    if isinstance(path, str):
        raise TypeError(f"a path is a list of labels, such as [{path!r}], not a text")
    return list(path)


def _dotted(path: Sequence[str]) -> str:
    """The labels of a path, joined by dots. Raises ValueError for a label that is empty or contains
    a dot.
    """
    for label in _labels(path):
        if not label or "." in label:
            raise ValueError(
                f"not a label of a path: {label!r}; it must not be empty or contain a dot"
            )
    return ".".join(path)
