"""The context of a thread: chosen newest first within an exact budget, shown oldest first.

The part of each kind (system, long_term: summary and ancestors, short_term: own turns) has at most its share of the
budget, headings included, where the policy has an allocation: what one leaves goes to the list of files and to no other
part. Without an allocation each part leaves the rest to the next: system, own turns, what was earlier, what was given.
Every piece ends with a newline and begins with a sign that no tokenizer joins to one, so tokens add up: see
`memtypes.search.piece`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from memtypes.live.thread_policy import ContextAllocation
from memtypes.live.turns import Turn
from memtypes.ports.threads import ThreadContent
from memtypes.ports.tokenizer import Tokenizer
from memtypes.search.piece import bullet

_HEADINGS = {
    "system": "## Instructions\n",
    "custom": "## Given\n",
    "long_term": "## Earlier\n",
    "short_term": "## Now\n",
}
"""The parts in the order in which they are shown."""

_FILLED = ("system", "short_term", "long_term", "custom")
"""The parts in the order in which they are filled where they share the budget."""

_FILES = "## Files\n"
_OPENING, _CLOSING = "<memory_thread>\n", "</memory_thread>\n"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a file or an image was spoken of last."""

    path: str
    thread_id: str
    turn: int


@dataclass(frozen=True, slots=True)
class Context:
    """The text, its tokens and each part's, and what is in it: turns as (thread, index) in the order shown."""

    text: str
    tokens: int
    parts: Mapping[str, int]
    turns: tuple[tuple[str, int], ...] = ()
    files: tuple[Place, ...] = ()
    images: tuple[Place, ...] = ()
    omitted_turns: int = 0
    omitted_files: int = 0


@dataclass(frozen=True, slots=True)
class _Piece:
    text: str
    tokens: int
    source: tuple[str, int] | None = None


@dataclass(slots=True)
class _Part:
    name: str
    offered: list[_Piece]  # newest first
    taken: list[_Piece] = field(default_factory=list)
    tokens: int = 0


def thread_context(
    chain: Sequence[ThreadContent],
    budget: int,
    tokenizer: Tokenizer,
    allocation: ContextAllocation | None,
    *,
    files: bool = True,
) -> Context:
    """The context of the last thread of `chain`, oldest first, in at most `budget` tokens."""
    parts = _offered(chain, tokenizer)
    room = budget - tokenizer.count(_OPENING) - tokenizer.count(_CLOSING)
    for name in _FILLED:
        share = room if allocation is None else min(room, math.floor(budget * getattr(allocation, name)))
        room -= _fill(parts[name], share, tokenizer.count(_HEADINGS[name]))
    shown, left = _files(chain, room, tokenizer) if files else ([], 0)
    return _built(chain, parts, shown, left, tokenizer)


def _fill(part: _Part, share: int, heading: int) -> int:
    """Tokens that the part takes of its share; a piece that does not fit is passed over."""
    room = share - heading
    for piece in part.offered:
        if piece.tokens <= room:
            part.taken.append(piece)
            room -= piece.tokens
    part.tokens = share - room if part.taken else 0
    return part.tokens


def _offered(chain: Sequence[ThreadContent], tokenizer: Tokenizer) -> dict[str, _Part]:
    parts = {name: _Part(name, []) for name in _HEADINGS}
    for content in reversed(chain):
        own = content is chain[-1]
        for turn in reversed(content.turns):
            name = "system" if turn.role == "system" else "short_term" if own else "long_term"
            text = _shown(turn)
            source = (content.thread.id, turn.index)
            parts[name].offered.append(_Piece(text, tokenizer.count(text), source))
        for name, said in (("long_term", content.thread.summary), ("custom", content.thread.initial_context)):
            if said:
                parts[name].offered.append(_Piece(bullet(said), tokenizer.count(bullet(said))))
    return parts


def _shown(turn: Turn) -> str:
    who = f"{turn.role} ({turn.tool})" if turn.tool else turn.role
    return bullet(f"{who}: {turn.content}")


def _newest(chain: Sequence[ThreadContent], kind: str) -> list[Place]:
    """Each file or image once, by its newest mention; newest first."""
    places: dict[str, Place] = {}
    for content in reversed(chain):
        for turn in reversed(content.turns):
            for path in reversed(turn.files if kind == "files" else turn.images):
                places.setdefault(path, Place(path, content.thread.id, turn.index))
    return list(places.values())


def _files(chain: Sequence[ThreadContent], room: int, tokenizer: Tokenizer) -> tuple[list[Place], int]:
    """The files that fit, newest first, and how many do not."""
    offered = _newest(chain, "files")
    room -= tokenizer.count(_FILES)
    fitting = []
    for place in offered:
        cost = tokenizer.count(bullet(place.path))
        if cost <= room:
            fitting.append(place)
            room -= cost
    return fitting, len(offered) - len(fitting)


def _built(
    chain: Sequence[ThreadContent], parts: Mapping[str, _Part], files: list[Place], left: int, tokenizer: Tokenizer
) -> Context:
    texts = [
        _HEADINGS[name] + "".join(one.text for one in reversed(parts[name].taken))
        for name in _HEADINGS
        if parts[name].taken
    ]
    if files:
        texts.append(_FILES + "".join(bullet(place.path) for place in files))
    text = _OPENING + "".join(texts) + _CLOSING if texts else ""
    sources = tuple(one.source for name in _HEADINGS for one in reversed(parts[name].taken) if one.source)
    return Context(
        text=text,
        tokens=tokenizer.count(text),
        parts={name: part.tokens for name, part in parts.items()},
        turns=sources,
        files=tuple(files),
        images=tuple(_newest(chain, "images")),
        omitted_turns=sum(len(content.turns) for content in chain) - len(sources),
        omitted_files=left,
    )
