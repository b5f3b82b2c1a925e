"""A store for LangGraph: `RemembrancerStore`. Needs the package's extra `langgraph`."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from typing import Any

from langgraph.store.base import (
    BaseStore,
    GetOp,
    Item,
    ListNamespacesOp,
    Op,
    PutOp,
    Result,
    SearchItem,
    SearchOp,
    TTLConfig,
    validate_op_namespace,
)

from remembrancer_client.answers import ItemAnswer, ItemsFound, PathsAnswer
from remembrancer_client.client import AsyncRemembrancer, Remembrancer
from remembrancer_client.conversations import query_of
from remembrancer_client.groups.items import Items
from remembrancer_client.options import ItemSearchOptions, PathMatch
from remembrancer_client.request import Description

CONCURRENT = 16
"""Maximum number of calls of one batch that are in flight at the same time."""


class RemembrancerStore(BaseStore):
    """Stores LangGraph's items in the namespace of the client `memory`. Other programs with its API
    key see them, too.

    A batch is no transaction: it reads before it writes, and of several puts under one key only the
    last is written. Values are JSON of at most 1 MiB. If `memory` is an async client, only the
    async methods of the store work. fields: paths of the texts by which a query finds an item; by
    default all texts.
    """

    supports_ttl = True

    def __init__(
        self,
        memory: Remembrancer | AsyncRemembrancer,
        *,
        fields: list[str] | None = None,
        ttl: TTLConfig | None = None,
    ) -> None:
        self._memory = memory
        self._fields = fields
        self.ttl_config = ttl

    def batch(self, ops: Iterable[Op]) -> list[Result]:
        """Run the operations `ops`, reads before writes. Returns their results in the order of
        `ops`.
        """
        if not isinstance(self._memory, Remembrancer):
            raise TypeError("the sync methods of the store need a Remembrancer")
        operations = _validated(ops)
        connection = self._memory.connection
        answers = [
            connection.find(self._read(op)) for op in operations if not isinstance(op, PutOp)
        ]
        for call in self._writes(operations):
            connection.find(call)
        return _results(operations, answers)

    async def abatch(self, ops: Iterable[Op]) -> list[Result]:
        """Run the operations `ops`, reads before writes. Returns their results in the order of
        `ops`.
        """
        operations = _validated(ops)
        if not isinstance(self._memory, AsyncRemembrancer):
            return await asyncio.to_thread(self.batch, operations)
        connection = self._memory.connection
        limit = asyncio.Semaphore(CONCURRENT)

        async def answer(call: Description[Any]) -> Any:
            async with limit:
                return await connection.find(call)

        answers = await asyncio.gather(
            *(answer(self._read(op)) for op in operations if not isinstance(op, PutOp))
        )
        await asyncio.gather(*map(answer, self._writes(operations)))
        return _results(operations, answers)

    def _read(self, op: Op) -> Description[Any]:
        items = self._memory.items
        if isinstance(op, GetOp):
            return Items.get.describe(items, op.namespace, op.key, refresh_ttl=op.refresh_ttl)
        if isinstance(op, SearchOp):
            options: ItemSearchOptions = {
                "query": query_of(op.query or "") or None,
                "filter": op.filter,
            }
            options |= {"refresh_ttl": op.refresh_ttl, "limit": op.limit, "offset": op.offset}
            return Items.search.describe(items, op.namespace_prefix, **options)
        if isinstance(op, ListNamespacesOp):
            conditions = op.match_conditions or ()
            match: list[PathMatch] = [
                {"type": test.match_type, "path": list(test.path)} for test in conditions
            ]
            depth = op.max_depth
            return Items.paths.describe(
                items, match=match, max_depth=depth, limit=op.limit, offset=op.offset
            )
        raise ValueError(f"not an operation of a store: {op!r}")

    def _writes(self, ops: Sequence[Op]) -> list[Description[Any]]:
        """The calls that carry out the puts and deletes in `ops`; for each key, only its last put
        or delete.
        """
        last = {(op.namespace, op.key): op for op in ops if isinstance(op, PutOp)}
        return [self._write(op) for op in last.values()]

    def _write(self, op: PutOp) -> Description[Any]:
        items = self._memory.items
        if op.value is None:
            return Items.delete.describe(items, op.namespace, op.key)
        index = self._fields if op.index is None else op.index
        ttl_s = None if op.ttl is None else op.ttl * 60
        return Items.put.describe(items, op.namespace, op.key, op.value, index=index, ttl_s=ttl_s)


def _validated(ops: Iterable[Op]) -> list[Op]:
    operations = list(ops)
    for op in operations:
        validate_op_namespace(op)
    return operations


def _results(ops: Sequence[Op], answers: Sequence[Any]) -> list[Result]:
    remaining = iter(answers)
    return [None if isinstance(op, PutOp) else _result(next(remaining)) for op in ops]


def _result(answer: ItemAnswer | ItemsFound | PathsAnswer | None) -> Result:
    if isinstance(answer, ItemsFound):
        return [SearchItem(**_members(item), score=item.score) for item in answer.items]
    if isinstance(answer, PathsAnswer):
        return [tuple(path) for path in answer.paths]
    return None if answer is None else Item(**_members(answer))


def _members(item: ItemAnswer) -> dict[str, Any]:
    times = {"created_at": item.created_at, "updated_at": item.updated_at}
    return {"namespace": tuple(item.path), "key": item.key, "value": item.value, **times}
