"""JSON decoding in two ways: strictly for request bodies; one value after the other, leniently, for
imported files.
"""

from __future__ import annotations

import json
import math
import re
from functools import partial
from typing import Any, NoReturn

from memtypes.model.errors import InvalidRequest, RemembrancerError

MAX_DEPTH = 64
"""Maximum levels of nesting in a JSON text. The deepest valid request is a filter, which may have 8
levels.
"""

MAX_DIGITS = 4_000
"""Maximum digits of an integer in a JSON text; Python converts at most 4,300."""

_INT64 = range(-(2**63), 2**63)
_ESCAPED_SURROGATE = re.compile(rb"\\u[dD]")
_BLANK = re.compile(r"[ \t\r\n]*")


class MalformedJson(RemembrancerError):
    """Text that is not JSON, or that two parsers could read differently. position: offset of the
    error in the text.
    """

    def __init__(self, message: str, *, path: str = "", position: int = 0) -> None:
        super().__init__(message)
        self.path = path
        self.position = position


def strict_json(raw: bytes, *, any_integer: bool = False) -> Any:
    """Decode the JSON of a request body, refusing text that two parsers could read differently.

    any_integer: accept integers of up to MAX_DIGITS digits, not only of 64 bits. Raises
    MalformedJson for text that is not JSON or not UTF-8, NaN, Infinity, repeated keys, unpaired
    surrogates and more than MAX_DEPTH levels of nesting; InvalidRequest for numbers that are too
    large.
    """
    try:
        value = (_STRICT_ANY_INTEGER if any_integer else _STRICT).decode(raw.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise MalformedJson(f"the body is not UTF-8 (byte {error.start})") from error
    except json.JSONDecodeError as error:
        line = f"line {error.lineno}, " if "\n" in error.doc else ""
        raise MalformedJson(f"not JSON: {error.msg} ({line}column {error.colno})") from error
    except RecursionError as error:
        raise MalformedJson(f"nested deeper than {MAX_DEPTH} levels") from error
    # Nearly every body is too small to be nested that deeply, and has no surrogates: both checks
    # are skipped.
    if raw.count(b"{") + raw.count(b"[") > MAX_DEPTH:
        _check_depth(value)
    if _ESCAPED_SURROGATE.search(raw):
        try:
            json.dumps(value, ensure_ascii=False).encode()
        except UnicodeEncodeError as error:
            raise MalformedJson(
                "a string has half of a surrogate pair, which is no character"
            ) from error
    return value


def value_at(text: str, start: int = 0) -> tuple[Any, int]:
    """The JSON value at offset `start` of `text`, and the offset after it. Raises MalformedJson if
    there is none.
    """
    try:
        return _LENIENT.raw_decode(text, start)
    except json.JSONDecodeError as error:
        raise MalformedJson(
            f"is not JSON: {error.msg} at character {error.colno}", position=error.pos
        ) from error
    except RecursionError as error:
        raise MalformedJson("is nested too deeply", position=start) from error
    except ValueError as error:  # an integer of more digits than Python converts
        raise MalformedJson(f"is JSON that cannot be stored: {error}", position=start) from error


def whole_value(text: str) -> Any:
    """Decode `text`, one JSON value with blanks around it. Raises MalformedJson if `text` has
    anything else.
    """
    value, end = value_at(text, skip_blank(text, 0))
    after = skip_blank(text, end)
    if after != len(text):
        raise MalformedJson(
            f"has text after the JSON value, from character {after + 1} on", position=after
        )
    return value


def skip_blank(text: str, start: int) -> int:
    """Offset of the first non-blank character of `text` at or after `start`; the length of `text`
    if there is none.
    """
    blank = _BLANK.match(text, start)
    return blank.end() if blank else start


def _check_depth(value: Any) -> None:
    level = [value]
    for _ in range(MAX_DEPTH):
        containers = [
            part.values() if isinstance(part, dict) else part
            for part in level
            if isinstance(part, dict | list)
        ]
        level = [member for container in containers for member in container]
        if not level:
            return
    raise MalformedJson(f"nested deeper than {MAX_DEPTH} levels")


def unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object as a dict, from its (key, value) pairs. Raises MalformedJson if a key occurs
    twice.
    """
    members = dict(pairs)
    if len(members) != len(pairs):
        names = [name for name, _ in pairs]
        repeated = next(name for name in names if names.count(name) > 1)
        raise MalformedJson(f"the key {repeated[:80]!r} stands twice in one object")
    return members


def _int64(digits: str) -> int:
    if len(digits) > 20 or int(digits) not in _INT64:
        raise InvalidRequest(f"the whole number {digits[:24]}... does not fit in 64 bits")
    return int(digits)


def _integer(digits: str) -> int:
    if len(digits) > MAX_DIGITS:
        raise InvalidRequest(
            f"the whole number {digits[:24]}... has {len(digits)} digits; at most "
            f"{MAX_DIGITS} are read"
        )
    return int(digits)


def _finite(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise InvalidRequest(f"the number {digits[:24]} does not fit in 64 bits")
    return value


def _refuse_constant(name: str) -> NoReturn:
    raise MalformedJson(f"{name} is not JSON")


_strict_decoder = partial(
    json.JSONDecoder,
    object_pairs_hook=unique_keys,
    parse_float=_finite,
    parse_constant=_refuse_constant,
)
_STRICT = _strict_decoder(parse_int=_int64)
_STRICT_ANY_INTEGER = _strict_decoder(parse_int=_integer)
_LENIENT = json.JSONDecoder(parse_constant=_refuse_constant)
