"""Texts and JSON values without their secrets, and how many of which kind there were. Pure; knows no policy."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from ingest.screening.redaction.checks import Span
from ingest.screening.redaction.patterns import BUILT_IN, Pattern

_MAX_NAMED = 200
"""Characters of a value that may be a password by its key alone."""


@dataclass(frozen=True, slots=True)
class Found:
    """A secret of `kind` at start up to end; never the secret itself."""

    kind: str
    start: int
    end: int


def secrets_in(text: str, patterns: Sequence[Pattern] = BUILT_IN) -> list[Found]:
    """The secrets of `text` in order, none overlapping: what overlaps is one, of the kind that stands first."""
    read = text.encode("utf-8", "replace")  # RE2 reads UTF-8, which has no lone surrogates
    # A text that is encoded once, not for each pattern, and mostly holds nothing: this is a good part of a write.
    likely = [pattern for pattern in patterns if pattern.regex.search(read) is not None]
    seen = read.decode()  # as long as `text`
    found: list[Found] = []
    for pattern in likely:
        for match in pattern.regex.finditer(seen):
            span = pattern.check(Span(seen, *match.span(pattern.group)))
            if span is not None and span.end > span.start:
                found.append(Found(pattern.kind, span.start, span.end))
    return _joined(found)


def may_hold_secrets(value: Any, patterns: Sequence[Pattern]) -> bool:
    """False where no text of `value`, any JSON, holds a secret: found out at once for all of them, which is most."""
    if any(pattern.anchored for pattern in patterns):
        return True
    read = "\n".join(_lines(value)).encode("utf-8", "replace")
    return any(pattern.regex.search(read) is not None for pattern in patterns)


def _lines(value: Any) -> Iterator[str]:
    """Every text that `Redaction.value` looks through."""
    match value:
        case str() if not isinstance(value, Enum):
            yield value
        case int() if not isinstance(value, bool | Enum):
            yield str(value)
        case list():
            for one in value:
                yield from _lines(one)
        case dict():
            for key, one in value.items():
                yield from (key, *_lines(one))
                if isinstance(one, str) and len(one) <= _MAX_NAMED:
                    yield f"{key}={one}"


def _joined(found: Sequence[Found]) -> list[Found]:
    """The stretches that `found` covers, in order; each has the kind of the first of those that it is made of."""
    joined: list[tuple[int, Found]] = []
    for order, one in sorted(enumerate(found), key=lambda numbered: numbered[1].start):
        if not joined or one.start >= joined[-1][1].end:
            joined.append((order, one))
            continue
        first, before = min(joined[-1], (order, one))[1], joined.pop()
        end = max(before[1].end, one.end)
        joined.append((min(before[0], order), Found(first.kind, before[1].start, end)))
    return [one for _, one in joined]


def marker(kind: str) -> str:
    """What stands where a secret of `kind` stood."""
    return f"[redacted:{kind}]"


def redact(text: str, patterns: Sequence[Pattern] = BUILT_IN) -> str:
    """`text` with a marker for each secret; the same object when there is none."""
    return Redaction(patterns).text(text)


@dataclass(slots=True)
class Redaction:
    """One pass over the texts of a value. counts: secrets by kind so far."""

    patterns: Sequence[Pattern] = BUILT_IN
    counts: Counter[str] = field(default_factory=Counter)

    def text(self, text: str) -> str:
        """`text` with a marker for each secret; the same object when there is none."""
        found = secrets_in(text, self.patterns)
        if not found:
            return text
        self.counts.update(one.kind for one in found)
        pieces, last = [], 0
        for one in found:
            pieces += [text[last : one.start], marker(one.kind)]
            last = one.end
        return "".join([*pieces, text[last:]])

    def value(self, value: Any) -> Any:
        """`value`, however nested, with every text in it redacted; numbers too: a card number may be one."""
        match value:
            case Enum() | bool() | None:
                return value
            case str():
                return self.text(value)
            case int():
                return self._number(value)
            case list():
                return [self.value(one) for one in value]
            case dict():
                return self._members(value)
            case _:
                return value

    def _number(self, number: int) -> int | str:
        written = str(number)
        kept = self.text(written)
        return number if kept == written else kept

    def _members(self, members: dict[str, Any]) -> dict[str, Any]:
        """Keys may hold secrets as well; two that become the same are told apart by a number."""
        clean: dict[str, Any] = {}
        for key, value in members.items():
            name = kept = self.text(key)
            while name in clean:
                name = f"{kept} {len(clean) + 1}"
            clean[name] = self._named(key, self.value(value))
        return clean

    def _named(self, key: str, value: Any) -> Any:
        """`value`, or a marker where its key says that it is a password: {"password": ...}."""
        if not isinstance(value, str) or len(value) > _MAX_NAMED:
            return value
        line = f"{key}={value}"
        found = [one for one in secrets_in(line, self.patterns) if one.start == len(key) + 1 and one.end == len(line)]
        if not found or value == marker(found[0].kind):
            return value
        self.counts[found[0].kind] += 1
        return marker(found[0].kind)
