"""Passages, memories with only the fields that rendering needs, made from payloads and from
memories.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from memtypes.model.policy import MemoryType
from memtypes.search.columns import TERMS
from memtypes.search.passage import passage_of
from memtypes.stores.operations.engine import memory_of
from tests.builders import make_memory

TEXTS = st.text(
    st.characters(codec="utf-8", exclude_categories=("Cc", "Cs")), min_size=1, max_size=20
).filter(str.strip)
# Bounds are naive
TIMES = st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
TYPE_FIELDS: dict[MemoryType, dict[str, st.SearchStrategy[Any]]] = {
    MemoryType.EPISODIC: {"speaker": TEXTS, "title": TEXTS},
    MemoryType.SEMANTIC: {"concept": TEXTS},
    MemoryType.PROSPECTIVE: {
        "due_at": TIMES,
        "trigger_condition": TEXTS,
        "status": st.sampled_from(["active"]),
    },
    MemoryType.PROCEDURAL: {"procedure_name": TEXTS, "steps": st.lists(TEXTS, max_size=3)},
    MemoryType.WORKING: {"live": st.booleans(), "todo_id": st.just("one")},
}


@given(st.data())
def test_passages_of_a_payload_and_of_its_memory_are_equal(data: st.DataObject) -> None:
    kind = data.draw(st.sampled_from(MemoryType))
    common = {"created_at": TIMES, "seq": st.integers(0, 2**53 - 1), "expires_at": TIMES}
    fields: dict[str, Any] = data.draw(
        st.fixed_dictionaries({}, optional=common | TYPE_FIELDS[kind])
    )
    memory = make_memory(kind, data.draw(TEXTS), **fields)
    assert passage_of(memory_of({**memory.to_payload(), TERMS: "00ff"})) == passage_of(memory)
