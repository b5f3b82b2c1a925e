"""Receipts that are read from files."""

from __future__ import annotations

import json

import pytest

from memtypes.model.errors import InvalidRequest
from memtypes.ports.receipts import canonical
from retrieval.receipts.checks import read_receipt, verify_file


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"[]",
        b"{",
        b'{"a": 1, "a": 2}',
        b'{"a": 1e5}',
        b'{"a": NaN}',
        b'{"a": "\\u001B"}',
        b"\xff",
        b'{"a": "\\ud800"}',
        b'{"contents": {"other": 1}}',
        b'{"contents": {"entries": {"a": 1}}}',
    ],
)
def test_a_file_that_is_no_receipt_is_refused(raw: bytes) -> None:
    """Malformed JSON, duplicate keys, non-canonical numbers or escapes and malformed contents raise
    InvalidRequest.
    """
    with pytest.raises(InvalidRequest):
        read_receipt(raw)


def test_a_receipt_with_a_missing_member_is_invalid() -> None:
    """The result of the verification names the missing member."""
    verdict = verify_file(canonical({"id": "a"}), lambda _: None)
    assert not verdict.valid
    assert "version" in json.dumps([check.detail for check in verdict.checks])
