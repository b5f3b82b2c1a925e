"""Receipts, the records of how a context was chosen: their hashes, which form a chain, and the
times in their ids.
"""

from __future__ import annotations

import json
import uuid
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memtypes.ports.receipts import (
    ChainHead,
    UnsealedReceipt,
    canonical,
    digest,
    issued_at,
    receipt_hash,
    receipt_id,
    seal,
    seal_all,
)

NAMES = st.text(max_size=12).filter(
    lambda name: not name.startswith("previous_") and name not in {"id", "sha256", "version"}
)
VALUES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
)
BODIES = st.dictionaries(
    NAMES, VALUES | st.lists(VALUES) | st.dictionaries(st.text(), VALUES), max_size=8
)


@given(BODIES)
def test_a_receipt_is_hashed_in_its_canonical_form(members: dict[str, Any]) -> None:
    """A receipt's hash is computed over its canonical JSON, whatever names and values its members
    have.
    """
    head = ChainHead("previous", "f" * 64)
    body = {**members, "id": "one", "previous_id": head.id, "previous_sha256": head.sha256}
    sealed = seal(UnsealedReceipt.from_body("shop", {**members, "id": "one"}), head)
    assert sealed.sha256 == digest(canonical(body)) == receipt_hash({**body, "sha256": "any"})
    assert receipt_hash(json.loads(sealed.text)) == sealed.sha256
    assert sealed.text == canonical(body)[:-1] + b',"sha256":"%b"}' % sealed.sha256.encode()


@given(st.integers(0, 32_000_000_000_000))
def test_a_receipt_id_contains_the_time_of_issue(milliseconds: int) -> None:
    """A receipt's id contains the time of issue, to within 2 ms. Two ids issued at the same time
    differ.
    """
    at = datetime.fromtimestamp(milliseconds / 1_000, UTC)
    issued = issued_at(first := receipt_id(at))
    assert issued is not None
    assert abs(issued - at.timestamp()) < 0.002
    assert first != receipt_id(at)


@pytest.mark.parametrize(
    "other", ["", "any", "0d6e64ad-9f54-4e23-8a7e-6ab2a4ad1f0e", str(uuid.UUID(int=5 << 76))]
)
def test_ids_that_are_no_receipt_ids_have_no_time_of_issue(other: str) -> None:
    """`issued_at()` returns None for a text that is no UUID, and for a UUID of another version than
    receipt ids.
    """
    assert issued_at(other) is None


def test_each_receipt_names_its_predecessor() -> None:
    """Of two receipts sealed together, the first names the newest stored receipt, and the second
    names the first.
    """
    first, second = seal_all(
        [UnsealedReceipt.from_body("shop", {"id": receipt}) for receipt in ("one", "two")],
        ChainHead("newest", "0" * 64),
    )
    assert b'"previous_id":"newest"' in first.text
    assert b'"previous_id":"one","previous_sha256":"%b"' % first.sha256.encode() in second.text
