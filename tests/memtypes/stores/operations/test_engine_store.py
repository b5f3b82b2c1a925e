"""`EngineStore`, which turns calls of `MemoryStore` into engine requests: valid ids, and their
memory types.
"""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from memtypes.model.policy import MemoryType
from memtypes.stores.operations.engine_store import by_type
from memtypes.stores.operations.uuids import valid_ids


@given(
    st.lists(
        st.one_of(st.text(max_size=40), st.uuids().map(str), st.uuids().map(lambda text: text.hex))
    )
)
def test_only_lower_case_uuids_with_hyphens_are_valid(ids: list[str]) -> None:
    """`valid_ids()` drops ids that are not lower-case UUIDs with hyphens, and repeats. The other
    ids stay in order.
    """
    valid = [text for text in ids if len(text) == 36 and text.count("-") == 4]
    assert valid_ids(ids) == list(dict.fromkeys(valid))


def test_an_id_is_looked_up_in_its_type_or_in_every_type() -> None:
    assert by_type(["a", "b"], {"a": MemoryType.WORKING, "b": MemoryType.SEMANTIC}) == {
        MemoryType.WORKING: ["a"],
        MemoryType.SEMANTIC: ["b"],
    }
    assert by_type(["a"], ["a"]) == {kind: ["a"] for kind in MemoryType}
