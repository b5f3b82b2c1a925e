"""Small but honest stand-ins for a store, an encoder and a tokenizer, for tests that are about something else."""

from __future__ import annotations

import base64
import json
import re
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

import numpy as np

from memtypes.model.errors import InvalidRequest, LockLost, Unavailable
from memtypes.model.filters import FIELD_KINDS, Absent, All, AnyOf, Compare, Filter, Kind, Not, Op
from memtypes.model.memory import Memory
from memtypes.model.policy import MemoryType
from memtypes.model.scope import Scope
from memtypes.model.types import from_payload
from memtypes.ports.encoders import Embedder, SparseEncoder
from memtypes.ports.memory_store import CandidateSearch, Listing, MemoryStore, Page, Record, TypeStats
from memtypes.ports.tokenizer import Tokenizer
from memtypes.search.candidates import Candidate
from memtypes.search.columns import COLUMN_FIELDS
from memtypes.search.vectors import Embedding, SparseVector, Vectors
from memtypes.stores.memory import token_maxima

_WORD = re.compile(r"\w+")
_TOKEN = re.compile(r"\w+|[^\w\s]|\n")
_COMPARED: dict[Op, Callable[[Any, Any], bool]] = {
    Op.EQ: lambda have, want: have == want,
    Op.GT: lambda have, want: have > want,
    Op.GTE: lambda have, want: have >= want,
    Op.LT: lambda have, want: have < want,
    Op.LTE: lambda have, want: have <= want,
    Op.BETWEEN: lambda have, want: want[0] <= have <= want[1],
    Op.ANY: lambda have, want: have in want,
}


def holds(tree: Filter | None, payload: Mapping[str, Any]) -> bool:  # noqa: C901, PLR0911 - one line a kind of node
    """Whether `payload` meets the filter."""
    match tree:
        case None:
            return True
        case All(parts):
            return all(holds(part, payload) for part in parts)
        case AnyOf(parts):
            return any(holds(part, payload) for part in parts)
        case Not(part):
            return not holds(part, payload)
        case Absent(field):
            return not _values(field, payload)
        case Compare(field, Op.NE, value):
            return value not in _values(field, payload)
        case Compare(field, Op.ALL, value):
            return set(value) <= set(_values(field, payload))
        case Compare(field, op, value):
            return any(_COMPARED[op](have, value) for have in _values(field, payload))


def _values(field: str, payload: Mapping[str, Any]) -> list[Any]:
    found: Any = payload
    for name in field.split("."):
        found = found.get(name) if isinstance(found, Mapping) else None
    values = found if isinstance(found, list) else [] if found is None else [found]
    return [datetime.fromisoformat(value) for value in values] if FIELD_KINDS.get(field) is Kind.TIME else values


class FakeStore(MemoryStore):
    """Memories in a dictionary; searches look at every one of them."""

    def __init__(self) -> None:
        self._kept: dict[tuple[str, str, str], tuple[dict[str, Any], Vectors]] = {}

    def _in(self, scope: Scope) -> list[tuple[dict[str, Any], Vectors]]:
        return [kept for key, kept in self._kept.items() if key[:2] == (scope.tenant, scope.namespace)]

    async def upsert(self, scope: Scope, records: Sequence[Record]) -> None:
        """Keep the records."""
        for record in records:
            key = (scope.tenant, scope.namespace, record.memory.id)
            self._kept[key] = (record.memory.to_payload(), record.vectors)

    async def get(self, scope: Scope, ids: Sequence[str] | Mapping[str, MemoryType]) -> dict[str, Memory]:
        """The memories that exist."""
        wanted = set(ids)
        return {one["id"]: from_payload(one) for one, _ in self._in(scope) if one["id"] in wanted}

    async def patch(
        self,
        scope: Scope,
        changes: Mapping[str, Mapping[str, Any]],
        *,
        removed: Sequence[str] = (),
        fence: int | None = None,
    ) -> None:
        """Set and drop fields."""
        wanted = [payload for payload, _ in self._in(scope) if payload["id"] in changes]
        held_back = [one for one in wanted if fence is not None and one.get("fence", 0) > fence]
        for payload in (one for one in wanted if one not in held_back):
            payload.update(changes[payload["id"]], **({} if fence is None else {"fence": fence}))
            for name in removed:
                payload.pop(name, None)
        if held_back:
            raise LockLost("a later holder was here")

    async def delete(self, scope: Scope, ids: Sequence[str]) -> int:
        """How many there were."""
        return sum(self._kept.pop((scope.tenant, scope.namespace, one), None) is not None for one in set(ids))

    async def delete_where(self, scope: Scope, types: Sequence[MemoryType], where: Filter | None) -> int:
        """How many matched."""
        wanted = set(types or MemoryType)
        ids = [one["id"] for one, _ in self._in(scope) if one["type"] in wanted and holds(where, one)]
        return await self.delete(scope, ids)

    async def page(self, scope: Scope, listing: Listing) -> Page:
        """One page, newest first."""
        wanted = set(listing.types or MemoryType)
        found = [from_payload(one) for one, _ in self._in(scope) if one["type"] in wanted]
        found = [one for one in found if holds(listing.filter, one.to_payload())]
        found.sort(key=lambda one: (-one.created_at.timestamp(), one.id))
        start = _start(listing.cursor)
        page = tuple(found[start : start + listing.limit])
        more = start + listing.limit < len(found)
        following = base64.urlsafe_b64encode(json.dumps(start + listing.limit).encode()).decode() if more else None
        return Page(page, following, len(found))

    async def candidates(self, scope: Scope, searches: Sequence[CandidateSearch]) -> list[list[Candidate]]:
        """Every memory that a search may see, with both scores."""
        return [self._found(scope, search) for search in searches]

    def _found(self, scope: Scope, search: CandidateSearch) -> list[Candidate]:
        return [
            Candidate(
                payload["id"],
                search.type,
                None if search.dense is None else float(search.dense @ vectors.dense),
                None if search.sparse is None else _dot(search.sparse, vectors.sparse),
                {name: payload[name] for name in COLUMN_FIELDS if name in payload},
                None if search.tokens is None else token_maxima(search.tokens, [vectors.tokens])[0],
            )
            for payload, vectors in self._in(scope)
            if payload["type"] == search.type
            and (payload["visibility"] == "namespace" or payload.get("session_id") == scope.session_id)
            and holds(search.filter, payload)
        ]

    async def stats(self, scope: Scope) -> dict[MemoryType, TypeStats]:
        """Counts of every type."""
        tokens: dict[MemoryType, list[int]] = {kind: [] for kind in MemoryType}
        for payload, _ in self._in(scope):
            tokens[MemoryType(payload["type"])].append(payload["tokens"]["count"])
        return {kind: TypeStats(len(counts), sum(counts)) for kind, counts in tokens.items()}

    async def namespaces(self, tenant: str) -> list[str]:
        """Those of the keys."""
        return sorted({namespace for owner, namespace, _ in self._kept if owner == tenant})

    async def ping(self) -> None:
        """Always there."""

    async def aclose(self) -> None:
        """Nothing was taken."""


def _start(cursor: str | None) -> int:
    if cursor is None:
        return 0
    try:
        return int(json.loads(base64.urlsafe_b64decode(cursor)))
    except ValueError as error:
        raise InvalidRequest("not a cursor of this store", path="cursor", got=cursor) from error


def _dot(query: SparseVector, document: SparseVector) -> float:
    weights = dict(zip(document.indices.tolist(), document.values.tolist(), strict=True))
    terms = zip(query.indices.tolist(), query.values.tolist(), strict=True)
    return float(sum(value * weights.get(index, 0.0) for index, value in terms))


class FakeEmbedder(Embedder):
    """A text as the sum of its words' random but fixed directions."""

    @property
    def fingerprint(self) -> str:
        """A name."""
        return "fake"

    @property
    def dimensions(self) -> int:
        """Sixteen."""
        return 16

    async def embed_query(self, text: str) -> Embedding:
        """The vector of `text`."""
        total = np.full(self.dimensions, 1e-3)
        for word in _WORD.findall(text.lower()):
            total += np.random.default_rng(zlib.crc32(word.encode("utf-8", "surrogatepass"))).standard_normal(16)
        return Embedding((total / np.linalg.norm(total)).astype(np.float32))

    async def embed_documents(self, texts: Sequence[str]) -> list[Embedding]:
        """The vectors of `texts`."""
        return [await self.embed_query(text) for text in texts]

    async def ping(self) -> None:
        """Always there."""

    async def aclose(self) -> None:
        """Nothing was taken."""


class WordEmbedder(FakeEmbedder):
    """Has a token vector for each word as well."""

    async def embed_query(self, text: str) -> Embedding:
        """The vectors of `text`."""
        seeds = [zlib.crc32(word.encode("utf-8", "surrogatepass")) for word in _WORD.findall(text.lower())]
        drawn = np.array([np.random.default_rng(seed).standard_normal(128) for seed in seeds]).reshape(-1, 128)
        lengths = np.linalg.norm(drawn, axis=1, keepdims=True)
        tokens = np.rint(drawn / lengths * 127).astype(np.int8)
        return replace(await super().embed_query(text), tokens=tokens)


class AwayEmbedder(FakeEmbedder):
    """An encoder that does not answer."""

    async def embed_query(self, text: str) -> Embedding:
        """Nothing."""
        raise Unavailable(f"no encoder for {len(text)} characters")


class FakeSparse(SparseEncoder):
    """Words as terms, each with weight 1."""

    def encode_query(self, text: str) -> SparseVector:
        """The terms of `text`."""
        terms = sorted({zlib.crc32(word.encode("utf-8", "surrogatepass")) for word in _WORD.findall(text.lower())})
        return SparseVector(np.array(terms, dtype=np.uint32), np.ones(len(terms), dtype=np.float32))

    def encode_document(self, text: str) -> SparseVector:
        """The terms of `text`."""
        return self.encode_query(text)


class FakeTokenizer(Tokenizer):
    """A token a word, a sign or a newline."""

    @property
    def name(self) -> str:
        """The default encoding's, so that stored counts are used."""
        return "cl100k_base"

    @property
    def sha256(self) -> str:
        """No real hash."""
        return "0" * 64

    def count(self, text: str) -> int:
        """Words, signs and newlines."""
        return len(_TOKEN.findall(text))

    def truncate(self, text: str, limit: int) -> str:
        """The text up to the end of its token number `limit`."""
        ends = [found.end() for found in _TOKEN.finditer(text)]
        return text if len(ends) <= limit else text[: ends[limit - 1]] if limit else ""
