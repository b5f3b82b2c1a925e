"""JSON text to plain values, refusing what two readers could understand differently.

Knows nothing of the models; a body that passes here holds only what can be stored and sent back.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any, NoReturn

from memtypes.model.errors import InvalidRequest, RemembrancerError

MAX_DEPTH = 64
"""Levels of nesting; the deepest thing that has a use is a filter, and filters end at 8."""

_INT64 = range(-(2**63), 2**63)
_ESCAPED_SURROGATE = re.compile(rb"\\u[dD]")


class MalformedBody(RemembrancerError):
    """The body is not JSON, or is JSON that readers do not agree on."""

    def __init__(self, message: str, *, path: str = "") -> None:
        super().__init__(message)
        self.path = path


def strict_json(raw: bytes) -> Any:
    """The value that `raw` stands for.

    Raises MalformedBody for broken text, broken UTF-8, NaN and Infinity, a key that stands twice and deep nesting;
    InvalidRequest for numbers that do not fit in 64 bits.
    """
    try:
        value = _DECODER.decode(raw.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise MalformedBody(f"the body is not UTF-8 (byte {error.start})") from error
    except json.JSONDecodeError as error:
        line = f"line {error.lineno}, " if "\n" in error.doc else ""
        raise MalformedBody(f"not JSON: {error.msg} ({line}column {error.colno})") from error
    except RecursionError as error:
        raise MalformedBody(f"nested deeper than {MAX_DEPTH} levels") from error
    if _may_hide_something(raw):
        _inspect(value)
    return value


def _may_hide_something(raw: bytes) -> bool:
    """Whether the value needs a walk: nearly every body is small and flat, and is spared it."""
    return raw.count(b"{") + raw.count(b"[") > MAX_DEPTH or _ESCAPED_SURROGATE.search(raw) is not None


def _inspect(value: Any) -> None:
    level, waiting = 0, [value]
    while waiting:
        level += 1
        if level > MAX_DEPTH:
            raise MalformedBody(f"nested deeper than {MAX_DEPTH} levels")
        below: list[Any] = []
        for one in waiting:
            below.extend(_parts(one))
        waiting = below


def _parts(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return [*value.keys(), *value.values()]
    if isinstance(value, str):
        _no_lone_surrogate(value)
    return value if isinstance(value, list) else []


def _no_lone_surrogate(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise MalformedBody("a text holds half of a surrogate pair, which is no character") from error


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise MalformedBody(f"the key {twice[:80]!r} stands twice in one object")
    return made


def _whole(digits: str) -> int:
    if len(digits) > 20 or int(digits) not in _INT64:
        raise InvalidRequest(f"the whole number {digits[:24]}... does not fit in 64 bits")
    return int(digits)


def _number(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise InvalidRequest(f"the number {digits[:24]} does not fit in 64 bits")
    return value


def _refuse(name: str) -> NoReturn:
    raise MalformedBody(f"{name} is not JSON")


_DECODER = json.JSONDecoder(object_pairs_hook=_unique, parse_int=_whole, parse_float=_number, parse_constant=_refuse)
