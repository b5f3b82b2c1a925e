"""Memories as points and back: what is written, in pieces, and what is read. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from memtypes.model.errors import InvalidRequest
from memtypes.model.memory import Memory
from memtypes.model.policy import MemoryType
from memtypes.model.types import from_payload
from memtypes.ports.memory_store import Record
from memtypes.search.columns import TERMS
from memtypes.search.terms import heaviest
from memtypes.stores.operations import messages
from memtypes.stores.operations.codec import dense_bytes, sparse_bytes, tokens_bytes

PIECE_RECORDS = 64
PIECE_CHARACTERS = 1_000_000
"""A write goes out in pieces of at most this much, so that questions are answered between them."""

_INTEGERS = range(-(2**63), 2**64)


def pieces(records: Sequence[Record]) -> Iterator[list[Record]]:
    """`records` in pieces of one type, bounded in number and in characters of content."""
    for kind in MemoryType:
        piece: list[Record] = []
        size = 0
        for record in (one for one in records if one.memory.type is kind):
            if piece and (len(piece) == PIECE_RECORDS or size + len(record.memory.content) > PIECE_CHARACTERS):
                yield piece
                piece, size = [], 0
            piece.append(record)
            size += len(record.memory.content)
        if piece:
            yield piece


def point_of(record: Record) -> messages.Point:
    """The point of a memory. Raises InvalidRequest for an integer that no store can keep exactly."""
    payload, vectors = record.memory.to_payload(), record.vectors
    check_integers(payload, record.memory.id)
    payload[TERMS] = heaviest(vectors.sparse)
    tokens = None if vectors.tokens is None else tokens_bytes(vectors.tokens)
    return messages.Point(record.memory.id, dense_bytes(vectors.dense), *sparse_bytes(vectors.sparse), tokens, payload)


def memory_of(payload: Mapping[str, Any]) -> Memory:
    """The memory of a point."""
    return from_payload({name: value for name, value in payload.items() if name != TERMS})


def check_integers(value: object, path: str) -> None:
    """Nothing. Raises InvalidRequest where `value`, plain JSON, holds an integer beyond 64 bits."""
    if isinstance(value, dict):
        for key, member in value.items():
            check_integers(member, f"{path}.{key}")
    elif isinstance(value, list):
        for member in value:
            check_integers(member, path)
    elif isinstance(value, int) and value not in _INTEGERS:
        raise InvalidRequest("an integer beyond 64 bits can't be kept exactly; write it as text", path=path)


def group_changes(changes: Mapping[str, Mapping[str, Any]]) -> list[messages.FieldChange]:
    """The changes with the ids that share them; many memories are often touched in the same way."""
    groups: dict[str, messages.FieldChange] = {}
    for one, fields in changes.items():
        plain = dict(fields)
        check_integers(plain, one)
        groups.setdefault(json.dumps(plain, sort_keys=True), messages.FieldChange([], plain)).ids.append(one)
    return list(groups.values())
