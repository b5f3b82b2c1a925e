"""Seals: the text of a receipt is the canonical form of all its members."""

from __future__ import annotations

import json
import uuid
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memtypes.ports.receipts import Link, Unsealed, canonical, chained, digest, own_hash, promised_at, receipt_id, seal

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


@given(st.integers(0, 32_000_000_000_000))
def test_an_id_tells_when_it_was_promised(milliseconds: int) -> None:
    """To a millisecond or so, and no two are alike."""
    at = datetime.fromtimestamp(milliseconds / 1_000, UTC)
    promised = promised_at(one := receipt_id(at))
    assert promised is not None
    assert abs(promised - at.timestamp()) < 0.002
    assert one != receipt_id(at)


@pytest.mark.parametrize("other", ["", "any", "0d6e64ad-9f54-4e23-8a7e-6ab2a4ad1f0e", str(uuid.UUID(int=5 << 76))])
def test_no_other_id_was_promised(other: str) -> None:
    """Whatever somebody made up."""
    assert promised_at(other) is None


def test_each_names_the_one_before() -> None:
    """The first names the newest of the chain."""
    first, second = chained([Unsealed.of("shop", {"id": one}) for one in ("one", "two")], Link("newest", "0" * 64))
    assert b'"previous_id":"newest"' in first.text
    assert b'"previous_id":"one","previous_sha256":"%b"' % first.sha256.encode() in second.text
