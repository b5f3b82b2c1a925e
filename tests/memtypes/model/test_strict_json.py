"""Strict decoding of JSON, which refuses repeated keys, NaN and numbers that can't be stored."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memtypes.model.errors import InvalidRequest
from memtypes.model.strict_json import (
    MAX_DEPTH,
    MalformedJson,
    skip_blank,
    strict_json,
    value_at,
    whole_value,
)

PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(value=PLAIN, ascii_only=st.booleans())
def test_json_is_unchanged_after_encoding_and_decoding(*, value: Any, ascii_only: bool) -> None:
    """Any JSON value is unchanged after encoding and decoding, whether non-ASCII characters are
    escaped or not.
    """
    assert strict_json(json.dumps(value, ensure_ascii=ascii_only).encode()) == value


@given(st.binary(max_size=60))
def test_arbitrary_bytes_raise_only_documented_errors(raw: bytes) -> None:
    """Arbitrary bytes either decode or raise MalformedJson or InvalidRequest."""
    try:
        strict_json(raw)
    except (MalformedJson, InvalidRequest):
        return


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b'{"a": 1,}', "not JSON"),
        (b'{"a": NaN}', "NaN is not JSON"),
        (b'{"a": -Infinity}', "-Infinity is not JSON"),
        (b'{"a": 1, "b": 2, "a": 3}', "the key 'a' stands twice"),
        (b'"\xff"', "not UTF-8"),
        (b'"\\ud800"', "half of a surrogate pair"),
        (b'{"\\udc00": 1}', "half of a surrogate pair"),
        (b'"a\nb"', "not JSON"),
        (b"[" * 100_000, "nested deeper"),
        (b"[" * (MAX_DEPTH + 1) + b"]" * (MAX_DEPTH + 1), "nested deeper"),
        (b'\xef\xbb\xbf{"a": 1}', "not JSON"),
    ],
)
def test_broken_or_ambiguous_json_is_malformed(raw: bytes, why: str) -> None:
    """Broken or ambiguous JSON is refused with an error that says what is wrong."""
    with pytest.raises(MalformedJson, match=why):
        strict_json(raw)


@pytest.mark.parametrize(
    "raw", [b"9223372036854775808", b"-9223372036854775809", b"1e999", b"9" * 5_000]
)
def test_numbers_beyond_64_bits_are_invalid(raw: bytes) -> None:
    """A number that does not fit in 64 bits is refused, not rounded."""
    with pytest.raises(InvalidRequest, match="64 bits"):
        strict_json(raw)


def test_a_pair_of_surrogates_is_one_character() -> None:
    """An escaped surrogate pair is decoded to the one character outside the basic plane that it
    stands for.
    """
    assert strict_json(b'"\\ud83d\\ude00"') == "\U0001f600"


def test_nesting_up_to_the_limit_is_accepted() -> None:
    """JSON nested exactly as deep as the limit allows is decoded."""
    raw = b"[" * (MAX_DEPTH - 1) + b"1" + b"]" * (MAX_DEPTH - 1)
    assert str(strict_json(raw)).count("[") == MAX_DEPTH - 1


def test_values_in_a_text_are_read_one_after_the_other() -> None:
    """`value_at()` returns the JSON value at a position and its end; it accepts repeated keys and
    huge integers.
    """
    text = ' {"a": 1, "a": 12345678901234567890123} [2]'
    value, end = value_at(text, skip_blank(text, 0))
    assert value == {"a": 12345678901234567890123}
    assert value_at(text, skip_blank(text, end)) == ([2], len(text))


@pytest.mark.parametrize(
    ("text", "reason", "position"),
    [
        ('{"a": }', "is not JSON: Expecting value at character 7", 6),
        ("NaN", "NaN is not JSON", 0),
        ("1 2", "has text after the JSON value, from character 3 on", 2),
    ],
)
def test_errors_have_the_position_of_the_mistake(text: str, reason: str, position: int) -> None:
    """The error for invalid JSON has the position of the first invalid character."""
    with pytest.raises(MalformedJson) as caught:
        whole_value(text)
    assert (str(caught.value), caught.value.position) == (reason, position)
