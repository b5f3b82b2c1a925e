"""Builders of memories and vectors for tests, with the real classes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

import numpy as np

from memtypes.model.ids import content_hash, memory_id
from memtypes.model.memory import Memory, TokenCount
from memtypes.model.policy import POLICIES, MemoryType
from memtypes.model.scope import Scope
from memtypes.model.types import MEMORY_CLASSES
from memtypes.ports.memory_store import Record
from memtypes.search.vectors import DenseVector, SparseVector, Vectors

SCOPE = Scope("acme", "shop")
NOW = datetime(2026, 3, 1, 9, 30, tzinfo=UTC)
DIMENSIONS = 8


def make_memory(kind: MemoryType, content: str, scope: Scope = SCOPE, /, **fields: Any) -> Memory:
    """A memory of type `kind` in `scope`; every field that is not in `fields` has a value derived
    from the content.
    """
    made = {
        "tenant": scope.tenant,
        "namespace": scope.namespace,
        "session_id": scope.session_id,
        "agent_id": scope.agent_id,
        "content": content,
        "visibility": POLICIES[kind].visibility,
        "created_at": NOW,
        "updated_at": NOW,
        "valid_from": NOW,
        "content_hash": content_hash(content),
        "tokens": TokenCount(count=len(content.split()), tokenizer="words"),
    }
    return MEMORY_CLASSES[kind].model_validate(
        {"id": memory_id(scope, kind, (content,)), **made, **fields}
    )


def make_dense(seed: int, dimensions: int = DIMENSIONS) -> DenseVector:
    """A random unit vector; equal seeds give equal vectors."""
    vector = np.random.default_rng(seed).standard_normal(dimensions)
    return (vector / np.linalg.norm(vector)).astype(np.float32)


def make_sparse(weights: Mapping[int, float] | Iterable[int]) -> SparseVector:
    """A sparse vector with these term weights; if only the terms are given, every weight is 1."""
    given = dict(weights) if isinstance(weights, Mapping) else dict.fromkeys(weights, 1.0)
    terms = sorted(given)
    return SparseVector(
        np.array(terms, np.uint32), np.array([given[term] for term in terms], np.float32)
    )


def make_record(
    memory: Memory,
    dense: DenseVector | None = None,
    terms: Mapping[int, float] | Iterable[int] = (1,),
) -> Record:
    """A memory with its vectors; without `dense` the dense vector is derived from the memory's
    id.
    """
    chosen = make_dense(int(memory.id[:8], 16)) if dense is None else dense
    return Record.from_memory(memory, Vectors(chosen, make_sparse(terms)))
