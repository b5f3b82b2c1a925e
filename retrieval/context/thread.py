"""The context of a thread within an exact token budget: selected newest first, shown oldest first.

The context has four parts: system turns, custom (the initial context), long_term (summaries and turns of ancestors) and
short_term (the thread's own turns). With an allocation, each part has at most its share of the budget, heading
included; only the list of files uses what is left. Without one, each part leaves the rest to the next: system, own
turns, ancestors, initial context. Every piece ends with a newline and begins with a character that no tokenizer merges
with it, so token counts add up; see `memtypes.search.passage`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from memtypes.live.thread_policy import ContextAllocation
from memtypes.ports.encoders import Tokenizer
from memtypes.ports.threads import ThreadContent
from memtypes.search.passage import bullet

T = TypeVar("T")

_HEADINGS = {
    "system": "## Instructions\n",
    "custom": "## Given\n",
    "long_term": "## Earlier\n",
    "short_term": "## Now\n",
}
"""The parts in the order in which they are shown."""

_FILL_ORDER = ("system", "short_term", "long_term", "custom")

_FILES = "## Files\n"
_OPENING, _CLOSING = "<memory_thread>\n", "</memory_thread>\n"


@dataclass(frozen=True, slots=True)
class FileMention:
    """Newest mention of a file or an image. turn: its index in the thread `thread_id`."""

    path: str
    thread_id: str
    turn: int


@dataclass(frozen=True, slots=True)
class ThreadContext:
    """The context of a thread. parts: tokens of each part. turns: (thread id, index) in the order shown."""

    text: str
    tokens: int
    parts: Mapping[str, int]
    turns: tuple[tuple[str, int], ...] = ()
    files: tuple[FileMention, ...] = ()
    images: tuple[FileMention, ...] = ()
    omitted_turns: int = 0
    omitted_files: int = 0


@dataclass(frozen=True, slots=True)
class _ThreadPiece:
    text: str
    tokens: int
    source: tuple[str, int] | None = None


def thread_context(
    chain: Sequence[ThreadContent],
    budget: int,
    tokenizer: Tokenizer,
    allocation: ContextAllocation | None,
    *,
    files: bool = True,
) -> ThreadContext:
    """The context of the last thread of `chain`, which is oldest first, in at most `budget` tokens."""
    candidates = _candidates(chain, tokenizer)
    room = budget - tokenizer.count(_OPENING) - tokenizer.count(_CLOSING)
    parts = dict.fromkeys(_HEADINGS, 0)
    selected: dict[str, list[_ThreadPiece]] = {}
    for name in _FILL_ORDER:
        share = room if allocation is None else min(room, math.floor(budget * getattr(allocation, name)))
        heading = tokenizer.count(_HEADINGS[name])
        selected[name] = _fitting(((piece, piece.tokens) for piece in candidates[name]), share - heading)
        if selected[name]:
            parts[name] = heading + sum(piece.tokens for piece in selected[name])
            room -= parts[name]
    mentions = _newest_mentions(chain, "files") if files else []
    costs = ((mention, tokenizer.count(bullet(mention.path))) for mention in mentions)
    listed = _fitting(costs, room - tokenizer.count(_FILES))
    shown = {name: selected[name][::-1] for name in _HEADINGS if selected[name]}  # oldest first
    text = _text(shown, listed)
    turns = tuple(piece.source for pieces in shown.values() for piece in pieces if piece.source)
    return ThreadContext(
        text=text,
        tokens=tokenizer.count(text),
        parts=parts,
        turns=turns,
        files=tuple(listed),
        images=tuple(_newest_mentions(chain, "images")),
        omitted_turns=sum(len(content.turns) for content in chain) - len(turns),
        omitted_files=len(mentions) - len(listed),
    )


def _candidates(chain: Sequence[ThreadContent], tokenizer: Tokenizer) -> dict[str, list[_ThreadPiece]]:
    """The pieces that each part of the context may show, newest first."""
    parts: dict[str, list[_ThreadPiece]] = {name: [] for name in _HEADINGS}
    for content in reversed(chain):
        turns_part = "short_term" if content is chain[-1] else "long_term"
        for turn in reversed(content.turns):
            speaker = f"{turn.role} ({turn.tool})" if turn.tool else turn.role
            text = bullet(f"{speaker}: {turn.content}")
            piece = _ThreadPiece(text, tokenizer.count(text), (content.thread.id, turn.index))
            parts["system" if turn.role == "system" else turns_part].append(piece)
        for name, note in (("long_term", content.thread.summary), ("custom", content.thread.initial_context)):
            if note:
                parts[name].append(_ThreadPiece(bullet(note), tokenizer.count(bullet(note))))
    return parts


def _newest_mentions(chain: Sequence[ThreadContent], kind: str) -> list[FileMention]:
    """Each file or image once, by its newest mention; newest first."""
    mentions: dict[str, FileMention] = {}
    for content in reversed(chain):
        for turn in reversed(content.turns):
            for path in reversed(turn.files if kind == "files" else turn.images):
                mentions.setdefault(path, FileMention(path, content.thread.id, turn.index))
    return list(mentions.values())


def _fitting(costs: Iterable[tuple[T, int]], room: int) -> list[T]:
    """Items that fit into `room` tokens, taken in order; larger ones are skipped. costs: items with their tokens."""
    fitting = []
    for candidate, cost in costs:
        if cost <= room:
            fitting.append(candidate)
            room -= cost
    return fitting


def _text(shown: Mapping[str, Sequence[_ThreadPiece]], listed: Sequence[FileMention]) -> str:
    lines: list[str] = []
    for name, pieces in shown.items():
        lines += [_HEADINGS[name], *(piece.text for piece in pieces)]
    if listed:
        lines += [_FILES, *(bullet(mention.path) for mention in listed)]
    return "".join([_OPENING, *lines, _CLOSING]) if lines else ""
