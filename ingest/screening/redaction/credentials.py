"""Finds passwords and tokens without a fixed format: words that look random, or are near the name
of a secret.

A logistic model judges each word by its features and those of its surroundings; see
`credential_features`.
"""

from __future__ import annotations

import io
import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from itertools import compress
from typing import NamedTuple

import numpy as np

from ingest.screening.redaction.credential_features import (
    COPULA,
    BigramTable,
    Surroundings,
    features,
    is_told,
    needs_telling,
    prefixed,
    ruled_out,
)
from ingest.screening.redaction.rules import NAMES, compile_re2
from memtypes.linear_model import LinearModel

_PACKAGE = "ingest.screening.redaction"
_MAX_LINE = 2_000
_OVERLAP = 240
"""Characters of a line that are searched at once, and the last of them that are searched again with
the next ones.
"""
_SHORTEST = 5
_SHORTEST_ALONE = 16
_SHORTEST_KEY = 24
_LONGEST = 1_500
"""Limits of length, in characters.

Minimum of a credential near the name of a secret, of a credential without such a name nearby, and
of a part of a path that may be a key; maximum of a credential.
"""
THRESHOLD = 0.7
"""Probability above which a word is taken for a secret."""
_BESIDE = 5
"""The name of a secret counts for any word that begins at most this many characters after it."""
_REACH = 80
"""Maximum number of characters between the name of a secret and a word after it for which the name
counts.
"""

KEYED = compile_re2(
    f"(?i:(?P<password>{NAMES['password']})|(?P<token>{NAMES['token']})|(?P<weak>{NAMES['weak']}))"
    r"|(?i:(?:\b|[\d_])(?P<short>(?:pass|pw|pwd|psk|pswd)s?)(?:[^\pL]|$))|[a-z](?P<camel>Pass|Pw"
    r"|Pwd)(?:[^a-z]|$)"
    r"|(?:^|\s)(?P<flag>-{1,2}(?:u|a|k|U|P|w|user|auth)\b|-p|/user|/p:)"
)
"""Matches every text that has the name of a secret, such as "password"."""
_FAMILY = {"short": "password", "camel": "password", "flag": "weak"}
_GROUPS = {index: name for name, index in KEYED.groupindex.items()}
LONG = compile_re2(r"[^\s\"'`<>|]{16,}")
"""Matches every text with a word long enough to be a token although no name of a secret is near
it.
"""

_ATOM = re.compile(
    r"\"([^\s\"]{4,400})\"|'([^\s']{4,400})'|`([^\s`]{4,400})`|"
    r"[^\s\"'`\xab\xbb\u2018-\u201e<>"
    r"|\u0590-\u06ff\u3000-\u30ff\u3400-\u9fff\uac00-\ud7af\uff00-\uff1f]+"
)
"""Matches a word, in quotes or not. Characters of scripts without blanks between words, as in
Japanese, end it.
"""
_PAIRS = re.compile(r"[;&,](?=[\w.%\-]+[=:])")
_ASSIGNS = re.compile(r"([\-$@]{0,2}[^\W\d][\w.\-\[\]%]*)(?:=>|:=|=|:)(?!/|=*$)(.+)", re.DOTALL)
_URL_PARTS = re.compile(r"(?:[?&#;]([\w.\-%\[\]]+)=)?([^/?&#]+)")
_WORDY = re.compile(r"[\w.\-:/,'\u2019]+")
_DIGEST = re.compile(r"[0-9a-f\-]+|[0-9A-F\-]+")
_OTHER_KEYS = re.compile(
    r"(?i)\b(?:primary|foreign|unique|composite|partition|sort|range|row|shard|routing|group|object|cache"
    r"|redis|public|arrow|short|hot)[ _-]$"
)
"""Matches the end of what stands before a key that is no secret, such as that of a table."""
_RULED = re.compile(r"[|\s:=_~*-]*$")
_LABEL = re.compile(rf"(?:[:=\uff1a]|{COPULA.pattern.removeprefix('(?i)')})[*_]*$", re.IGNORECASE)
"""Matches the end of a line whose value is on the next line, such as "My PIN is:"."""
_HEADING = re.compile(r"(?:#{1,6} .{1,80}|[\w*-][\w \-/()'\u2019&*>?:]{1,80})$")
"""Matches a line that may be the heading of a value below it, such as "## Wifi password"."""
_OPENING = "([{<*_\"'`"
_CLOSING = ".,;:)]}>*\"'`?"
_ITEM = re.compile(r"[\s>+\-\u2022(\[{<*_\"'`]*(?:\d{1,2}[.)]\s+)?")
"""Matches the marks at the start of a list item."""
_ALONE = re.compile(rf"{_ITEM.pattern}(?:[^\s:=]+(?:(?: [^\s:=]+)? ?:| /| ->|) +)?[^\s=]+={{0,2}}$")
"""Matches a line that has only one word, or a short name and one word, such as "- guest:
tulip93!lake".
"""


@dataclass(frozen=True, slots=True)
class CandidateWord:
    """A word that may be a credential: its indexes `start` to `end` (exclusive) in a text, and its
    surroundings.
    """

    start: int
    end: int
    word: str
    near: Surroundings


class _Key(NamedTuple):
    """A name of a secret, such as "pwd", in a line. end, start: its indexes. family: its kind, such
    as "password".
    """

    end: int
    start: int
    family: str


@dataclass(frozen=True, slots=True)
class _Line:
    """A line of a text, at index `start`. keys: names of secrets in it.

    head: header line of the table that it is in, if any. label: heading of the line or of its list,
    if that has the name of a secret.
    """

    text: str
    start: int
    keys: list[_Key]
    head: str = ""
    label: str = ""


def candidates(text: str, *, keyed: bool) -> Iterator[CandidateWord]:
    """Yield the words of `text` that may be credentials: near the name of a secret if `keyed`, else
    all other words.
    """
    for line in _lines(text):
        if keyed and not (line.keys or line.label or KEYED.search(line.head)):
            continue
        for start, end, quoted, name in _words(line.text, _SHORTEST if keyed else _SHORTEST_ALONE):
            word = line.text[start:end]
            called = line.text[end : end + 1] == "(" and word.replace(".", "_").isidentifier()
            if len(word) > _LONGEST or called or ruled_out(word, quoted=quoted):
                continue
            if not _mixed(word):
                continue
            near = _surroundings(line, start, end)
            if bool(near.key) == keyed and (keyed or _tokenlike(word, near.before)):
                assigned = replace(
                    near, quoted=quoted, name=name or _name_before(line.text[:start][-_REACH:])
                )
                if is_told(assigned) or not needs_telling(word):
                    yield CandidateWord(line.start + start, line.start + end, word, assigned)


def _mixed(word: str) -> bool:
    """Whether `word` looks unlike an ordinary word, so that it may be a credential.

    It has a digit, or a sign that words lack ("#", "%"), or 20 or more characters in mixed case
    without a hyphen.
    """
    if any(map(str.isdigit, word)) or not _WORDY.fullmatch(word):
        return True
    return len(word) >= 20 and "-" not in word and not (word.islower() or word.isupper())


def _tokenlike(word: str, before: str) -> bool:
    """Whether `word` may be a token although no name of a secret, such as "password", is near it.

    It has letters and digits, is no hexadecimal number, and is no path. In a URL, or as base64 data
    of an embedded file, it also needs a vendor's prefix, such as "sk_live_". before: the text in
    front of the word.
    """
    mixed = (
        any(map(str.isalpha, word)) and any(map(str.isdigit, word)) and not _DIGEST.fullmatch(word)
    )
    path = word.count("/") > 1 and max(map(len, word.split("/"))) < _SHORTEST_KEY
    embedded = "://" in before.rpartition(" ")[2] or "base64," in before[-8:] + word
    return mixed and not path and (not embedded or prefixed(word))


def _lines(text: str) -> Iterator[_Line]:
    keys = list(_keys(text))
    position = 0
    head = ""
    label = ""
    starts = [start for _, start, _ in keys]
    public = False
    for full_line in text.splitlines(keepends=True) or [text]:
        if "-----" in full_line:
            public = "-----BEGIN" in full_line and "PRIVATE" not in full_line
        for offset in range(0, len(full_line), _MAX_LINE):
            begin = max(0, offset - _OVERLAP)
            end = offset + _MAX_LINE
            chunk = "" if public else full_line[begin:end]
            start = position + begin
            first = bisect_left(starts, start)
            last = bisect_left(starts, start + len(chunk))
            inside = [
                _Key(key.end - start, key.start - start, key.family) for key in keys[first:last]
            ]
            yield _Line(chunk, start, inside, head, label)
        position += len(full_line)
        line = full_line.strip()
        if not line or line.startswith("```"):
            head = ""
        elif not _RULED.fullmatch(line):
            head = (head or line[:500]) if line.count("|") > 1 or "," in line else ""
            if not (label and _ALONE.match(line)):
                names = KEYED.search(line) and (_LABEL.search(line) or _HEADING.match(line))
                label = line[-200:] if names else ""


def _labelled(line: _Line, start: int) -> bool:
    """Whether the word at `start` belongs to the label of `line`: it is the line's first word, or
    only value.
    """
    if not line.label or any(key.start < start for key in line.keys):
        return False
    first = (
        not line.text[:start].strip(" \t>*-" + _OPENING) and _LABEL.search(line.label) is not None
    )
    return first or _ALONE.match(line.text.strip()) is not None


def _keys(text: str) -> Iterator[_Key]:
    for match in KEYED.finditer(text):
        group = _GROUPS[match.lastindex]
        start, end = match.span(match.lastindex)
        if group == "weak" and not _stands_alone(text, start, end):
            continue
        if group == "token" and text[start : end + 2].lower() == "secretar":
            continue
        key = text[start:end].lower().endswith("key")
        if key and _OTHER_KEYS.search(text[max(0, start - 24) : start]):
            continue
        yield _Key(end, start, _FAMILY.get(group, group))


def _stands_alone(text: str, start: int, end: int) -> bool:
    """Whether a weak name, such as "key", is a word by itself or in `apiKey` or `MAPS_KEY`, not in
    "monkey".
    """
    before = text[start - 1 : start]
    after = text[end : end + 1]
    first = text[start]
    opens = not before.isalpha() or (before.islower() and first.isupper())
    return opens and (not after.isalpha() or after.isupper() or text[end : end + 2] in ("s ", "s:"))


def _words(line: str, shortest: int) -> Iterator[tuple[int, int, bool, str]]:
    """Yield (start, end, is quoted, name that it is assigned to or "") for each word of `line` that
    may be a secret.
    """
    for match in _ATOM.finditer(line):
        group = match.lastindex or 0
        atom = match[group]
        start = match.start(group)
        if len(atom) < shortest or (not group and _plain(atom)):
            continue
        if group and "://" not in atom and not _PAIRS.search(atom) and "=" not in atom.rstrip("="):
            yield start, start + len(atom), True, ""
            continue
        glued = 2 if not group and atom.startswith("-p") else 0
        for first, last, name in _pieces(atom[glued:], start + glued):
            if last - first >= shortest:
                yield first, last, bool(group), name


def _plain(word: str) -> bool:
    """Whether `word`, without marks at its ends, is only letters, all of them lower case except
    perhaps the first.
    """
    letters = word.strip(".,;:!?()[]{}*-")
    return letters.isalpha() and (letters[1:].islower() or len(letters) < 2)


def _pieces(word: str, start: int) -> Iterator[tuple[int, int, str]]:
    """Yield (start, end, name) of each value in `word`, which may be a URL or a list of name=value
    pairs.

    The name is "" if a value has none. start: index of `word` in its line. All indexes are in this
    line.
    """
    position = 0
    for pair in _PAIRS.split(word):
        yield from _values(pair, start + position)
        position += len(pair) + 1


def _values(assignment: str, start: int) -> Iterator[tuple[int, int, str]]:
    """Yield (start, end, name) of each value in one name=value pair, URL or word, as `_pieces`
    does.
    """
    value = assignment.lstrip(_OPENING)
    name = ""
    start = start + len(assignment) - len(value)
    for _ in range(4):
        match = _ASSIGNS.fullmatch(value)
        if match is None or "://" in value.partition("=")[0]:
            break
        name = match[1]
        start = start + match.start(2)
        value = match[2]
    scheme, separator, address = value.partition("://")
    if separator:
        host = next((index for index, sign in enumerate(address) if sign in "/?#"), len(address))
        offset = start + len(scheme) + 3
        user = address[:host].rpartition("@")[0]
        yield *_stripped(user, 0, 0 if ":" in user else len(user), offset), ""
        for match in _URL_PARTS.finditer(address, host):
            yield *_stripped(address, match.start(2), match.end(2), offset), match[1] or ""
        return
    yield *_stripped(value, 0, len(value), start), name
    if "," in value.strip(_OPENING + _CLOSING):
        position = 0
        for cell in value.split(","):
            yield *_stripped(value, position, position + len(cell), start), name
            position += len(cell) + 1


def _stripped(word: str, start: int, end: int, offset: int) -> tuple[int, int]:
    """The range of `word` from `start` to `end` without the brackets and marks at its ends, moved
    by `offset`.
    """
    stripped = word[start:end]
    first = len(stripped) - len(stripped.lstrip(_OPENING))
    return offset + start + first, offset + start + max(first, len(stripped.rstrip(_CLOSING)))


def _surroundings(line: _Line, start: int, end: int) -> Surroundings:
    """The text around a word from `start` to `end`, and the nearest name of a secret before it,
    after it or above it.

    A weak name (see `FAMILIES`), such as "key", counts only right before the word, or if no other
    name is found. A word below a label, such as "My PIN is:" or "## Passwords", is judged as if it
    came after it in one line.
    """
    headed = _labelled(line, start)
    if headed:
        label = line.label if _LABEL.search(line.label) else line.label.strip("#*_ ") + ":"
        joined = f"{label} {line.text[start:]}"
        end = len(label) + 1 + end - start
        start = len(label) + 1
        line = _Line(joined, 0, list(_keys(joined)))
    before = line.text[max(0, start - _REACH) : start]
    after = line.text[end : end + 2]
    reach = line.keys[: bisect_right(line.keys, (start, start, ""))][-4:]
    reach = [key for key in reach if start <= key.end + _REACH]
    beside = reach[-1] if reach and start - reach[-1].end <= _BESIDE else None
    strong = next((key for key in reversed(reach) if key.family != "weak"), None)
    if strong is None and beside is None and (named := _named_elsewhere(line, start, end)):
        return Surroundings(*named, before, after)
    nearest = beside or strong or (reach[-1] if reach else None)
    if nearest is None:
        return Surroundings(before=before, after=after)
    # The values of "passwords" are a list
    gap = line.text[nearest.end : start].removeprefix("s" if headed else "")
    return Surroundings(nearest.family, gap, "heading" if headed else "left", before, after)


def _name_before(before: str) -> str:
    """The name at the end of `before` that a value is assigned to (`name = "`); "" if there is
    none, or only "is".
    """
    sign = before.rstrip(" \t\"'`([")
    left = sign.rstrip(":=>,")
    if left == sign:
        return ""
    left = left.rstrip(" \t\"'`]*>")
    name = re.split(r"[^\w.\-\[\]$@]", left)[-1]
    return "" if COPULA.fullmatch(name) else name


def _named_elsewhere(line: _Line, start: int, end: int) -> tuple[str, str, str] | None:
    """The name of a secret ("password") after or above a word, as `Surroundings.key`, `gap` and
    `side`; or None.
    """
    after = line.keys[bisect_left(line.keys, (end, end, "")) :][:3]
    right = next(
        (
            key
            for key in after
            if end <= key.start <= end + 40
            and key.family != "weak"
            and line.text[key.start - 1] not in "-_/."
        ),
        None,
    )
    if right is not None:
        return right.family, line.text[end : right.start], "right"
    for sign in ("|", ","):  # of the columns of a table
        cells = line.head.split(sign)
        column = line.text[:start].count(sign)
        if len(cells) > 2 and column < len(cells) and line.text.count(sign) == len(cells) - 1:
            above = next((key for key in _keys(cells[column]) if key.family != "weak"), None)
            return (above.family, "", "above") if above else None
    return None


@dataclass(frozen=True, slots=True, eq=False)
class CredentialModel:
    """Tells secrets from harmless words by their features. bigrams: log2 probabilities of pairs of
    letters.
    """

    classifier: LinearModel
    bigrams: BigramTable

    def secret(self, words: Iterable[CandidateWord]) -> list[CandidateWord]:
        """Those of `words` whose probability of being a secret is above THRESHOLD."""
        judged = list(words)
        if not judged:
            return []
        rows = np.array(
            [features(word.word, word.near, self.bigrams) for word in judged], dtype=np.float32
        )
        likely = self.classifier.probabilities(rows)[:, 1] > THRESHOLD
        return list(compress(judged, likely))


@cache
def credential_model() -> CredentialModel:
    """The trained model that is shipped with this package."""
    with np.load(io.BytesIO(files(_PACKAGE).joinpath("bigrams.npz").read_bytes())) as arrays:
        bigrams = arrays["bigrams"].astype(np.float32) / 8
    return CredentialModel(LinearModel.load(_PACKAGE, "credentials.npz"), bigrams)
