"""Conversion of ids between text and bytes."""

from __future__ import annotations

from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from memtypes.stores.operations.uuids import ids_of, strings_of, texts_of


@given(st.lists(st.uuids(), max_size=5))
def test_ids_round_trip(ids: list[UUID]) -> None:
    """Ids are unchanged after conversion to bytes and back, leading and trailing zeros included.

    The bytes sort like the texts.
    """
    texts = [str(memory_id) for memory_id in [*ids, UUID(int=0), UUID(int=255), UUID(int=1 << 127)]]
    id_array = ids_of(texts)
    assert id_array.tobytes() == b"".join(UUID(memory_id).bytes for memory_id in texts)
    assert (
        strings_of(id_array)
        == [memory_id.decode() for memory_id in texts_of(id_array).tolist()]
        == texts
    )
    id_array = id_array.copy()
    id_array.sort()
    assert strings_of(id_array) == sorted(texts)
