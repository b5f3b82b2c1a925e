"""Reads the labelled texts of this folder, and compares the labels with what a screening step
finds.
"""

from __future__ import annotations

import json
import random
import re
import string
import uuid
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

_MARKED = re.compile(r"\[\[(.*?)\]\]", re.DOTALL)
_SLOT = re.compile(r"⟨(\w+)(?: (\d+))?⟩")
_ALPHABETS = {
    "hex": "0123456789abcdef",
    "HEX": "0123456789ABCDEF",
    "b32": string.ascii_uppercase + "234567",
    "b58": "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz",
    "b62": string.ascii_letters + string.digits,
    "b64": string.ascii_letters + string.digits + "+/",
    "b64u": string.ascii_letters + string.digits + "-_",
    "age": "QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L",
    "alpha": string.ascii_letters,
    "dec": string.digits,
    "lower": string.ascii_lowercase + string.digits,
    "upper": string.ascii_uppercase + string.digits,
}


class MarkedText(NamedTuple):
    """A text, and the start and end of each secret that is marked in it."""

    text: str
    marks: list[tuple[int, int]]


def marked_texts(name: str) -> list[MarkedText]:
    """The texts of the file `name`.jsonl, each with the positions of its secrets.

    Placeholders are filled with random characters, the same on every call.
    """
    return [unmarked(_filled(row["text"], seed)) for seed, row in enumerate(rows(name))]


def _filled(text: str, seed: int) -> str:
    """`text` with each placeholder, such as ⟨hex 40⟩, replaced by random characters, the same for
    the same `seed`.
    """
    chosen = random.Random(seed)  # noqa: S311 - no secrets, only texts that look like them

    def fill(slot: re.Match[str]) -> str:
        if slot[1] == "uuid":
            return str(uuid.UUID(int=chosen.getrandbits(128), version=4))
        return "".join(chosen.choice(_ALPHABETS[slot[1]]) for _ in range(int(slot[2])))

    return _SLOT.sub(fill, text)


def unmarked(marked: str) -> MarkedText:
    """The text without marks, and the spans between `[[` and `]]`. `~` is dropped; it hides keys
    from scanners.
    """
    plain = ""
    spans = []
    last = 0
    source = re.sub(r"~(~?)", r"\1", marked)
    for match in _MARKED.finditer(source):
        plain += source[last : match.start()]
        spans.append((len(plain), len(plain) + len(match[1])))
        plain = plain + match[1]
        last = match.end()
    return MarkedText(plain + source[last:], spans)


@dataclass(frozen=True, slots=True)
class Counts:
    """Results of comparing labels with findings.

    right: findings that have a label. extra: findings without a label. missed: labels that were not
    found. wrong: a line for each text with an error.
    """

    right: int
    extra: int
    missed: int
    wrong: tuple[str, ...] = ()

    @property
    def precision(self) -> float:
        """Share of the findings that are correct; 0 without findings."""
        return self.right / max(1, self.right + self.extra)

    @property
    def recall(self) -> float:
        """Share of the labels that were found; 0 without labels."""
        return self.right / max(1, self.right + self.missed)

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall."""
        return 2 * self.right / max(1, 2 * self.right + self.extra + self.missed)

    def __str__(self) -> str:
        """The counts and the texts with errors, as an assertion message."""
        figures = f"precision {self.precision:.3f}, recall {self.recall:.3f}, F1 {self.f1:.3f}"
        return "\n".join([figures, *self.wrong])


def rows(name: str) -> list[dict[str, Any]]:
    """The lines of the file `name`.jsonl in this folder, parsed from JSON."""
    lines = (Path(__file__).parent / f"{name}.jsonl").read_text("utf-8").splitlines()
    return [json.loads(line) for line in lines]


def count(compared: Iterable[tuple[str, Collection[object], Collection[object]]]) -> Counts:
    """Compare labels with findings and count right and wrong findings.

    compared: for each text, the text, its expected labels and the labels that were found.
    """
    right = extra = missed = 0
    wrong: list[str] = []
    for text, labels, findings in compared:
        expected = set(labels)
        found = set(findings)
        right = right + len(expected & found)
        extra = extra + len(found - expected)
        missed = missed + len(expected - found)
        if expected != found:
            wrong.append(
                f"{text!r}: expected {sorted(map(str, expected))}, found {sorted(map(str, found))}"
            )
    return Counts(right, extra, missed, tuple(wrong))
