"""Finds and replaces secrets in texts and JSON values, whatever a tenant's rules are. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from ingest.screening.redaction.patterns import BUILT_IN, Pattern

_MAX_PASSWORD = 200
"""Maximum length of a value that may be a password because of its key alone, as in {"password":
...}.
"""
_TITLES = ("name", "key", "label", "title", "heading", "concept", "procedure_name", "question")
_TEXTS = ("value", "answer", "text", "content")
"""Members of an object that may name the secret in a member of `_TEXTS`: {"name": "DB_PASSWORD",
"value": ...}.
"""


@dataclass(frozen=True, slots=True)
class Secret:
    """The kind of a secret, and where it is in a text; never the secret itself."""

    kind: str
    start: int
    end: int


def secrets_in(text: str, patterns: Sequence[Pattern] = BUILT_IN) -> list[Secret]:
    """The secrets in `text`, by position. Overlapping secrets become one, of the kind that is first
    in `patterns`.
    """
    encoded = text.encode("utf-8", "replace")  # RE2 reads UTF-8, which has no lone surrogates
    # Encoded once and not for each pattern: most texts hold no secret, and this is a good part of a
    # write.
    decoded = encoded.decode()  # as long as `text`
    lowered = decoded.lower()
    likely = (pattern for pattern in patterns if pattern.likely(encoded, lowered))
    secrets = [Secret(p.kind, span.start, span.end) for p in likely for span in p.spans(decoded)]
    joined: list[tuple[int, Secret]] = []  # each with the index of its pattern
    for order, secret in sorted(enumerate(secrets), key=lambda numbered: numbered[1].start):
        if not joined or secret.start >= joined[-1][1].end:
            joined.append((order, secret))
            continue
        previous = joined.pop()
        first = min(previous, (order, secret))
        end = max(previous[1].end, secret.end)
        joined.append((first[0], Secret(first[1].kind, previous[1].start, end)))
    return [secret for _, secret in joined]


def may_hold_secrets(value: Any, patterns: Sequence[Pattern]) -> bool:
    """Whether `value`, any JSON, may contain a secret: a quick search of its texts, which rules out
    most values.
    """
    if any(pattern.anchored for pattern in patterns):
        return True
    encoded = "\n".join(_lines(value)).encode("utf-8", "replace")
    lowered = encoded.decode().lower()
    return any(pattern.likely(encoded, lowered) for pattern in patterns)


def _lines(value: Any) -> Iterator[str]:
    """Yield every text in `value`, any JSON, that is searched for secrets: strings, integers, keys,
    key=value pairs.
    """
    match value:
        case str() if not isinstance(value, Enum):
            yield value
        case int() if not isinstance(value, bool | Enum):
            yield str(value)
        case list():
            yield "\n".join(holder[key] for holder, key in _series(value))
            for element in value:
                yield from _lines(element)
        case dict():
            yield "\n".join(holder[key] for holder, key in _series(value))
            for key, member in value.items():
                yield from (key, *_lines(member))
                if isinstance(member, str) and len(member) <= _MAX_PASSWORD:
                    yield f"{key}={member}"


def replace_leaves(
    value: Any, replace: Callable[[Any, str | None], Any], key: str | None = None
) -> Any:
    """`value`, any JSON, with each leaf replaced by `replace(leaf, key)`, and each key by
    `replace(key, None)`.

    A leaf in an object has the name of its member as `key`; in a list, None. Keys that become equal
    are numbered, so that no value is lost.
    """
    if isinstance(value, list):
        return [replace_leaves(element, replace) for element in value]
    if not isinstance(value, dict):
        return replace(value, key)
    members: dict[str, Any] = {}
    for name, member in value.items():
        unique = replaced = replace(name, None)
        while unique in members:
            unique = f"{replaced} {len(members) + 1}"
        members[unique] = replace_leaves(member, replace, name)
    return members


def _series(value: Any) -> list[tuple[Any, Any]]:
    """The texts in `value` to search as one text, each as the list or object that holds it and its
    index or key.

    So a secret is recognised by the text before it: in a list of sentences or messages, or after a
    title.
    """
    if isinstance(value, dict):
        return [(value, key) for key in (*_TITLES, *_TEXTS) if isinstance(value.get(key), str)]
    if not isinstance(value, list) or not any(
        isinstance(element, dict) or " " in str(element) for element in value
    ):
        return []
    series = (
        [(value, at)] if isinstance(element, str) else _series(element)
        for at, element in enumerate(value)
    )
    return [text for texts in series for text in texts]


def redact(text: str, patterns: Sequence[Pattern] = BUILT_IN) -> str:
    """`text` with a marker in place of each secret; the same object if there is none."""
    return Redaction(patterns).text(text)


def _marker(kind: str) -> str:
    return f"[redacted:{kind}]"


@dataclass(slots=True)
class Redaction:
    """Replaces secrets in texts and JSON by markers. counts: number of secrets replaced so far, by
    kind.
    """

    patterns: Sequence[Pattern] = BUILT_IN
    counts: Counter[str] = field(default_factory=Counter)

    def text(self, text: str) -> str:
        """`text` with a marker in place of each secret; the same object if there is none."""
        return self._lines([text])[0]

    def _lines(self, texts: Sequence[str]) -> list[str]:
        """`texts`, searched as lines of one text, with a marker in each line for every secret that
        overlaps with it.
        """
        secrets = secrets_in("\n".join(texts), self.patterns)
        self.counts.update(secret.kind for secret in secrets)
        redacted = []
        start = 0
        for text in texts:
            pieces = []
            last = 0
            for secret in secrets:
                first = max(0, secret.start - start)
                end = min(len(text), secret.end - start)
                if first < end:
                    pieces += [text[last:first], _marker(secret.kind)]
                    last = end
            redacted.append("".join([*pieces, text[last:]]) if pieces else text)
            start += len(text) + 1
        return redacted

    def value(self, value: Any) -> Any:
        """`value`, any JSON, with secrets in its texts, keys and integers (as card numbers are)
        replaced by markers.
        """
        return replace_leaves(self._together(value), self._leaf)

    def _together(self, value: Any) -> Any:
        """A copy of `value` with markers for the secrets that are recognised by texts before them;
        see `_series`.
        """
        if isinstance(value, dict):
            value = {key: self._together(member) for key, member in value.items()}
        elif isinstance(value, list):
            value = [self._together(element) for element in value]
        series = _series(value)
        if len(series) > 1:
            for (holder, key), text in zip(
                series, self._lines([holder[key] for holder, key in series]), strict=True
            ):
                holder[key] = text
        return value

    def _leaf(self, leaf: Any, key: str | None) -> Any:
        if isinstance(leaf, Enum | bool) or not isinstance(leaf, str | int):
            return leaf
        text = self.text(str(leaf))
        if isinstance(leaf, int) and text == str(leaf):
            return leaf
        if key is None or len(text) > _MAX_PASSWORD:
            return text
        line = f"{key}={text}"  # a key may make it a secret, as in {"password": ...}
        kinds = [
            s.kind
            for s in secrets_in(line, self.patterns)
            if (s.start, s.end) == (len(key) + 1, len(line))
        ]
        if not kinds or text == _marker(kinds[0]):
            return text
        self.counts[kinds[0]] += 1
        return _marker(kinds[0])
