"""Ids as numbers and back."""

from __future__ import annotations

from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from memtypes.stores.keys import key_of, packed, text_of, texts_of


@given(st.lists(st.uuids(), max_size=5))
def test_an_id_comes_back_as_it_was(ids: list[UUID]) -> None:
    """One by one and packed, leading and trailing zeros included."""
    texts = [str(one) for one in [*ids, UUID(int=0), UUID(int=255)]]
    keys = [key_of(one) for one in texts]
    assert [text_of(key) for key in keys] == texts
    assert [one.decode() for one in texts_of(packed(keys)).tolist()] == texts
