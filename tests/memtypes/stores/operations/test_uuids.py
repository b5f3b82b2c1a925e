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
    texts = [str(one) for one in [*ids, UUID(int=0), UUID(int=255), UUID(int=1 << 127)]]
    made = ids_of(texts)
    assert made.tobytes() == b"".join(UUID(one).bytes for one in texts)
    assert strings_of(made) == [one.decode() for one in texts_of(made).tolist()] == texts
    made = made.copy()
    made.sort()
    assert strings_of(made) == sorted(texts)
