"""The parts of a thread's context: what each part may show, how many tokens it needs, and what fits
into its share.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, TypeVar

from memtypes.live.sentences import most_important, sentences
from memtypes.live.turns import Turn
from memtypes.markdown import CUT_MARK, bullet, cut_bullet
from memtypes.ports.encoders import Tokenizer

_MIN_CUT = 12
"""Minimum tokens of a turn or summary that is cut; a shorter beginning is not shown at all."""

_Name = TypeVar("_Name")


@dataclass(frozen=True, slots=True)
class FileMention:
    """Newest mention of a file or an image. turn: number of the turn in the thread `thread_id` that
    mentions it. content: "whole" or "part" if the context shows the file's content, else null.
    """

    path: str
    thread_id: str
    turn: int
    content: Literal["whole", "part"] | None = None


@dataclass(frozen=True, slots=True)
class Piece:
    """One entry of a part. place: (thread id, index) of a turn. mention: of a file. cut: whether a
    part is left out.
    """

    text: str
    tokens: int
    order: tuple[int, int] = (0, 0)
    place: tuple[str, int] | None = None
    mention: FileMention | None = None
    cut: bool = False


@dataclass(slots=True)
class TurnsPart:
    """The part of a context with turns, newest first, each as (position of its thread, the thread's
    id, the turn).
    """

    turns: Sequence[tuple[int, str, Turn]]
    tokenizer: Tokenizer
    pieces: list[Piece] = field(default_factory=list)

    def demand(self, room: int) -> int:
        """Tokens that all turns need. Counting stops once the sum exceeds `room`, and this sum is
        returned.
        """
        total = 0
        for place in range(len(self.turns)):
            total += self._piece(place).tokens
            if total > room:
                break
        return total

    def fitting(self, room: int) -> list[Piece]:
        """The newest turns, up to the first that does not fit into `room` tokens. If none fits, the
        newest is cut.
        """
        pieces: list[Piece] = []
        for place in range(len(self.turns)):
            piece = self._piece(place)
            if piece.tokens > room:
                break
            pieces.append(piece)
            room -= piece.tokens
        if not pieces and self.turns and room >= _MIN_CUT:
            text, tokens = cut_bullet(_line(self.turns[0][2]), room, self.tokenizer)
            pieces.append(replace(self._piece(0), text=text, tokens=tokens, cut=True))
        return pieces

    def _piece(self, place: int) -> Piece:
        if place == len(self.pieces):
            position, thread_id, turn = self.turns[place]
            text = bullet(_line(turn))
            tokens = self.tokenizer.count(text)
            self.pieces.append(Piece(text, tokens, (position, turn.index), (thread_id, turn.index)))
        return self.pieces[place]


@dataclass(frozen=True, slots=True)
class NotesPart:
    """The part with the summaries, or the contexts given at the start, each as (position of its
    thread, text).
    """

    notes: Sequence[tuple[int, str]]
    tokenizer: Tokenizer

    def demand(self, _room: int) -> int:
        """Tokens that all notes need if none is shortened."""
        return sum(self._tokens().values())

    def fitting(self, room: int) -> list[Piece]:
        """Fit each note into an equal share of `room` tokens: whole, or cut to its most important
        sentences.
        """
        tokens = self._tokens()
        allotted = allot(room, tokens, {place: 1 / len(tokens) for place in tokens})
        pieces = [self._piece(*note, allotted[place]) for place, note in enumerate(self.notes)]
        return [piece for piece in pieces if piece.tokens]

    def _tokens(self) -> dict[int, int]:
        return {
            place: self.tokenizer.count(bullet(text)) for place, (_, text) in enumerate(self.notes)
        }

    def _piece(self, position: int, text: str, room: int) -> Piece:
        order = (position, -1)
        count = self.tokenizer.count
        tokens = count(bullet(text))
        if tokens <= room:
            return Piece(bullet(text), tokens, order)
        if room < _MIN_CUT:
            return Piece("", 0, order, cut=True)
        limit = room - count(CUT_MARK) - 2
        while True:
            selected, best = most_important(
                sentences(text), lambda line: count(f"\n  {line}"), limit
            )
            shown = bullet("\n".join(selected) + CUT_MARK)
            tokens = count(shown)
            if not selected:
                return Piece(*cut_bullet(best, room, self.tokenizer), order, cut=True)
            if tokens <= room:
                return Piece(shown, tokens, order, cut=True)
            limit -= tokens - room


@dataclass(frozen=True, slots=True)
class EarlierPart:
    """The part of a thread's context that shows summaries and the turns of the thread's
    ancestors.
    """

    notes: NotesPart
    turns: TurnsPart

    def demand(self, room: int) -> int:
        """Tokens that all summaries and turns need; the counting of turns stops once they exceed
        `room` tokens.
        """
        return self.notes.demand(room) + self.turns.demand(room)

    def fitting(self, room: int) -> list[Piece]:
        """Summaries and turns that fit into `room` tokens: each kind gets half, and what the other
        kind leaves.
        """
        halves = allot(
            room, {0: self.notes.demand(room), 1: self.turns.demand(room)}, {0: 0.5, 1: 0.5}
        )
        return self.notes.fitting(halves[0]) + self.turns.fitting(halves[1])


@dataclass(frozen=True, slots=True)
class ReferencesPart:
    """The part that lists the files, or the images, that the threads mention, the last mentioned
    first.

    pieces: with paths alone. contents: of files, by path; "" for a content that was not read.
    """

    pieces: Sequence[Piece]
    contents: Mapping[str, str]
    tokenizer: Tokenizer

    def demand(self, room: int) -> int:
        """Tokens that all the files or images need. Counting stops once the sum exceeds `room`."""
        total = sum(piece.tokens for piece in self.pieces)
        for piece in self.pieces:
            if total > room:
                break
            total += self._with_content(piece).tokens - piece.tokens
        return total

    def fitting(self, room: int) -> list[Piece]:
        """The files or images that fit into `room` tokens together, last mentioned first; too long
        paths are skipped. In the room that the paths leave, contents are shown in the same order;
        the first that does not fit is cut.
        """
        fitting = []
        for piece in self.pieces:
            if piece.tokens <= room:
                fitting.append(piece)
                room -= piece.tokens
        for place, piece in enumerate(fitting):
            full = self._with_content(piece)
            if full is piece:
                continue
            more = full.tokens - piece.tokens
            if more > room:
                fitting[place] = self._cut(piece, room)
                break
            fitting[place] = full
            room -= more
        return fitting

    def _with_content(self, piece: Piece) -> Piece:
        content = piece.mention and self.contents.get(piece.mention.path)
        if piece.mention is None or not content:
            return piece
        text = bullet(f"{piece.mention.path}\n{content}")
        mention = replace(piece.mention, content="whole")
        return replace(piece, text=text, tokens=self.tokenizer.count(text), mention=mention)

    def _cut(self, piece: Piece, room: int) -> Piece:
        """`piece` with the beginning of its file's content, in `room` tokens more than its own."""
        if piece.mention is None or room < _MIN_CUT:
            return piece
        whole = f"{piece.mention.path}\n{self.contents[piece.mention.path]}"
        text, tokens = cut_bullet(whole, piece.tokens + room, self.tokenizer)
        if not text.startswith(piece.text):
            return piece
        return replace(
            piece, text=text, tokens=tokens, mention=replace(piece.mention, content="part")
        )


def allot(
    room: int, wanted: Mapping[_Name, int], shares: Mapping[_Name, float], least: int = 0
) -> dict[_Name, int]:
    """Divide `room`: a part gets what it wants up to its share or `least`; the rest goes to others,
    in order.
    """
    allotted: dict[_Name, int] = {}
    for name, share in shares.items():
        assured = max(math.floor(share * room), least)
        allotted[name] = max(min(wanted[name], assured, room - sum(allotted.values())), 0)
    for name in shares:
        allotted[name] += min(wanted[name] - allotted[name], room - sum(allotted.values()))
    return allotted


def _line(turn: Turn) -> str:
    speaker = f"{turn.role} ({turn.tool})" if turn.tool else turn.role
    return f"{speaker}: {turn.content}"
