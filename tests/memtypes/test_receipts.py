"""Seals: the text of a receipt is the canonical form of all its members."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from memtypes.receipts import Link, Unsealed, canonical, chained, digest, own_hash, seal

NAMES = st.text(max_size=12).filter(
    lambda name: not name.startswith("previous_") and name not in {"id", "sha256", "version"}
)
VALUES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
BODIES = st.dictionaries(NAMES, VALUES | st.lists(VALUES) | st.dictionaries(st.text(), VALUES), max_size=8)


@given(BODIES)
def test_a_receipt_is_sealed_over_its_canonical_form(members: dict[str, Any]) -> None:
    """Its hash is that of all members in their one form, whatever they are called."""
    link = Link("the one before", "f" * 64)
    whole = {**members, "id": "one", "previous_id": link.id, "previous_sha256": link.sha256}
    sealed = seal(Unsealed.of("shop", {**members, "id": "one"}), link)
    assert sealed.sha256 == digest(canonical(whole)) == own_hash({**whole, "sha256": "any"})
    assert own_hash(json.loads(sealed.text)) == sealed.sha256
    assert sealed.text == canonical(whole)[:-1] + b',"sha256":"%b"}' % sealed.sha256.encode()


def test_each_names_the_one_before() -> None:
    """The first names the newest of the chain."""
    first, second = chained([Unsealed.of("shop", {"id": one}) for one in ("one", "two")], Link("newest", "0" * 64))
    assert b'"previous_id":"newest"' in first.text
    assert b'"previous_id":"one","previous_sha256":"%b"' % first.sha256.encode() in second.text
