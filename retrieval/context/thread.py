"""The context of a thread within an exact token budget: selected newest first, shown oldest first.

The parts are system turns, custom (the initial context), long_term (summaries and turns of
ancestors), short_term (the thread's own turns), files and images. Each has a share of the budget,
heading included; tokens that it does not need go to other parts. The shares of a policy's
allocation are limits. Of the newest turn of a part that does not fit, the beginning is shown; of a
summary or an initial context, the most important sentences. Every piece begins with a character
that no tokenizer merges with a newline, so tokens add up.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from memtypes.live.thread_policy import ContextAllocation
from memtypes.markdown import bullet
from memtypes.ports.encoders import Tokenizer
from memtypes.ports.threads import ThreadTail
from retrieval.context.thread_parts import (
    EarlierPart,
    FileMention,
    NotesPart,
    Piece,
    ReferencesPart,
    TurnsPart,
    allot,
)

_HEADINGS = {
    "system": "## Instructions\n",
    "custom": "## Given\n",
    "long_term": "## Earlier\n",
    "short_term": "## Now\n",
    "files": "## Files\n",
    "images": "## Images\n",
}
"""Headings of the parts, in the order in which the parts are shown."""

_SHARES = {
    "system": 0.2,
    "short_term": 0.4,
    "long_term": 0.1,
    "custom": 0.1,
    "files": 0.1,
    "images": 0.05,
}
"""Minimum shares of the parts if the policy has no allocation, in the order in which they get what
others leave.
"""

_LEAST = 24
"""Minimum tokens of a part if the policy has no allocation, as far as the budget allows."""

_UNNAMED = 0.1
"""Share of each part that a policy's allocation does not name; all shares are then scaled to add up
to 1.
"""

_OPENING = "<memory_thread>\n"
_CLOSING = "</memory_thread>\n"
_MARK_SHARE = 0.125
"""Maximum share of a context that the tags of memories of earlier turns may take."""

_MOST_TAGS = 3
_SHORT_MARK = "- [more is left out]\n"
"""The line that says that something was left out, if the budget has no room for saying how much."""


@dataclass(frozen=True, slots=True)
class OmittedParts:
    """What a thread's context leaves out: numbers of turns, files and images, and whether texts are
    incomplete.

    turns: turns that the context does not show, those that have left the threads included. flushed:
    of these, turns that a flush or an eviction moved to memories. contents: of files, that are cut
    or missing. summary, initial_context: whether
    a summary, or the context given at a thread's start, is cut or missing.
    """

    turns: int = 0
    flushed: int = 0
    files: int = 0
    contents: int = 0
    images: int = 0
    summary: bool = False
    initial_context: bool = False

    @property
    def fits_elsewhere(self) -> bool:
        """Whether a larger budget would show more."""
        return replace(self, turns=self.turns - self.flushed, flushed=0) != OmittedParts()

    def mark(self) -> str:
        """The line that says what was left out of what the threads have; empty if nothing was."""
        counts = [(self.turns - self.flushed, "turn"), (self.files, "file"), (self.images, "image")]
        parts = [f"{count} {noun}{'' if count == 1 else 's'}" for count, noun in counts if count]
        parts += [f"text of {self.contents} files"] if self.contents > 1 else []
        parts += ["text of 1 file"] if self.contents == 1 else []
        parts += ["text of the summary"] if self.summary else []
        parts += ["text of the given context"] if self.initial_context else []
        return f"- [left out: {', '.join(parts)}]\n" if parts else ""


@dataclass(frozen=True, slots=True)
class ThreadContext:
    """The context of a thread.

    parts: tokens of each part, by name. turns: (thread id, index) of each shown turn, in order.
    cut: the shown turns of which only the beginning is shown. needs_more: whether more turns must
    be read to fill the budget, because all turns that were read of some thread are shown, and it
    has more. gap: whether an ancestor of the thread no longer exists.
    """

    text: str
    tokens: int
    parts: Mapping[str, int]
    turns: tuple[tuple[str, int], ...] = ()
    files: tuple[FileMention, ...] = ()
    images: tuple[FileMention, ...] = ()
    omitted: OmittedParts = OmittedParts()
    cut: frozenset[tuple[str, int]] = frozenset()
    needs_more: bool = False
    gap: bool = False


def thread_context(
    chain: Sequence[ThreadTail],
    budget: int,
    tokenizer: Tokenizer,
    allocation: ContextAllocation | None,
    *,
    files: bool = True,
) -> ThreadContext:
    """Build the context of a thread in at most `budget` tokens.

    chain: the thread's ancestors, oldest first, then the thread itself. allocation: maximum share
    of each part, if the thread's policy sets it. files: whether to list the files and images that
    turns mention.
    """
    parts = _Parts.from_chain(chain, tokenizer, files=files)
    room = budget - tokenizer.count(_OPENING) - tokenizer.count(_CLOSING)
    shown = parts.fitting(room, allocation)
    mark = ""
    if shown and parts.omitted(shown) != OmittedParts():
        shown, mark = parts.marked(shown, room, allocation)
    lines = [
        line
        for name, pieces in shown.items()
        for line in (_HEADINGS[name], *(piece.text for piece in pieces))
    ]
    text = "".join([_OPENING, mark, *lines, _CLOSING]) if lines else ""
    turns = {
        piece.place: piece.cut
        for part in shown.values()
        for piece in part
        if piece.place is not None
    }
    return ThreadContext(
        text=text,
        tokens=tokenizer.count(text),
        parts={name: parts.tokens(name, shown.get(name, [])) for name in _HEADINGS},
        turns=tuple(turns),
        files=tuple(piece.mention for piece in shown.get("files", []) if piece.mention is not None),
        images=tuple(
            piece.mention for piece in shown.get("images", []) if piece.mention is not None
        ),
        omitted=parts.omitted(shown),
        cut=frozenset(place for place, cut in turns.items() if cut),
        needs_more=any(
            not tail.whole and all((tail.thread.id, turn.index) in turns for turn in tail.turns)
            for tail in chain
        ),
    )


@dataclass(frozen=True, slots=True)
class _Parts:
    """The parts of a thread's context by name, such as "system": what each may show, and the tokens
    of its heading.

    notes: number of summaries and given contexts, by part. all: how many turns, files and images
    the threads have or had, shown or not. left: ids of the threads that turns have left. newest:
    the part with the newest turn.
    """

    sources: Mapping[str, TurnsPart | NotesPart | EarlierPart | ReferencesPart]
    headings: Mapping[str, int]
    notes: Mapping[str, int]
    all: OmittedParts
    left: Sequence[str]
    newest: str
    tokenizer: Tokenizer

    @classmethod
    def from_chain(
        cls, chain: Sequence[ThreadTail], tokenizer: Tokenizer, *, files: bool
    ) -> _Parts:
        """Collect the parts of the context of a thread. chain: its ancestors, oldest first, then
        the thread itself.

        files: whether to list the files and images that turns mention.
        """
        last = len(chain) - 1
        newest = [
            (position, tail.thread.id, turn)
            for position, tail in reversed(list(enumerate(chain)))
            for turn in reversed(tail.turns)
        ]
        spoken = [entry for entry in newest if entry[2].role != "system"]
        summaries = [
            (position, tail.thread.summary)
            for position, tail in enumerate(chain)
            if tail.thread.summary
        ]
        given = [
            (place, note)
            for place, tail in enumerate(chain)
            if (note := tail.thread.initial_context)
        ]
        shown = chain if files else []
        listed = {kind: _references(shown, kind, tokenizer) for kind in ("files", "images")}
        contents = _contents(shown)
        sources: dict[str, TurnsPart | NotesPart | EarlierPart | ReferencesPart] = {
            "system": TurnsPart(
                [entry for entry in newest if entry[2].role == "system"], tokenizer
            ),
            "custom": NotesPart(given, tokenizer),
            "long_term": EarlierPart(
                NotesPart(summaries, tokenizer),
                TurnsPart([entry for entry in spoken if entry[0] < last], tokenizer),
            ),
            "short_term": TurnsPart([entry for entry in spoken if entry[0] == last], tokenizer),
            "files": ReferencesPart(listed["files"], contents, tokenizer),
            "images": ReferencesPart(listed["images"], {}, tokenizer),
        }
        everything = OmittedParts(
            turns=sum(tail.thread.turns + tail.thread.flushed for tail in chain),
            flushed=sum(tail.thread.flushed for tail in chain),
            contents=len(contents),
            files=len(listed["files"]) + sum(tail.file_count - len(tail.files) for tail in shown),
            images=len(listed["images"])
            + sum(tail.image_count - len(tail.images) for tail in shown),
        )
        headings = {name: tokenizer.count(heading) for name, heading in _HEADINGS.items()}
        notes = {"long_term": len(summaries), "custom": len(given)}
        is_system = bool(chain[-1].turns) and chain[-1].turns[-1].role == "system"
        left = [tail.thread.id for tail in reversed(chain) if tail.thread.flushed]
        newest_part = "system" if is_system else "short_term"
        return cls(sources, headings, notes, everything, left, newest_part, tokenizer)

    def fitting(self, room: int, allocation: ContextAllocation | None) -> dict[str, list[Piece]]:
        """The pieces (such as turns) of each part that fit into `room` tokens together; empty parts
        are left out.
        """
        if room <= 0:
            return {}
        wanted = {name: source.demand(room) for name, source in self.sources.items()}
        wanted = {
            name: tokens + self.headings[name] if tokens else 0 for name, tokens in wanted.items()
        }
        shares: Mapping[str, float] = _SHARES
        if allocation is not None:
            wanted, shares = self._limited(room, wanted, allocation.model_dump(exclude_unset=True))
        allotted = allot(room, wanted, shares, _LEAST if allocation is None else 0)
        shown: dict[str, list[Piece]] = {}
        spare = room - sum(allotted.values())
        # Turns first: what they leave, because the next one does not fit, the others have
        for name in _SHARES:
            more = min(wanted[name] - allotted[name], spare)
            shown[name] = self.sources[name].fitting(allotted[name] + more - self.headings[name])
            spare += allotted[name] - self.tokens(name, shown[name])
        return {
            name: sorted(shown[name], key=lambda piece: piece.order)
            for name in _HEADINGS
            if shown[name]
        }

    def _limited(
        self, room: int, wanted: Mapping[str, int], limits: Mapping[str, float]
    ) -> tuple[dict[str, int], dict[str, float]]:
        """By part, the maximum tokens and minimum share of `room` in a policy's `limits`. The
        newest turn gets some.
        """
        most = {
            name: min(tokens, math.floor(limits.get(name, 1.0) * room))
            for name, tokens in wanted.items()
        }
        most[self.newest] = max(most[self.newest], min(wanted[self.newest], _LEAST))
        shares = {
            name: limits.get(name, _UNNAMED) if most[name] else 0.0
            for name in (self.newest, *_SHARES)
        }
        shares = {name: share / max(sum(shares.values()), 1.0) for name, share in shares.items()}
        return most, shares | {self.newest: max(shares[self.newest], _LEAST / room)}

    def marked(
        self, shown: dict[str, list[Piece]], room: int, allocation: ContextAllocation | None
    ) -> tuple[dict[str, list[Piece]], str]:
        """Choose fewer pieces, to make room for lines that say what is left out and where it is;
        return pieces by part, and the lines.

        If there is no room for both these lines and the newest turn, shorter ones are used or, if
        need be, none.
        """
        tagged = self._left_mark(tagged=True)
        where = tagged if self.tokenizer.count(tagged) <= _MARK_SHARE * room else ""
        for left_mark in dict.fromkeys((where, self._left_mark(tagged=False))):
            if self.left and not left_mark:
                continue
            reserved = self.tokenizer.count(left_mark + self.omitted({}).mark())
            fitting = self.fitting(room - reserved, allocation)
            if fitting.get(self.newest) or not shown.get(self.newest):
                return fitting, left_mark + self.omitted(fitting).mark()
        fitting = self.fitting(room - self.tokenizer.count(_SHORT_MARK), allocation)
        if fitting.get(self.newest) or not shown.get(self.newest):
            return fitting, _SHORT_MARK
        return shown, ""

    def _left_mark(self, *, tagged: bool) -> str:
        """The line that says where the turns are that have left the threads; empty if none has."""
        if not self.left:
            return ""
        count = f"{self.all.flushed} earlier turn{'' if self.all.flushed == 1 else 's'}"
        summary = (
            f"summary under {_HEADINGS['long_term'][3:-1]}, " if self.notes["long_term"] else ""
        )
        tags = [f"thread:{thread_id}" for thread_id in self.left[:_MOST_TAGS]]
        more = len(self.left) - len(tags)
        named = f" tagged {', '.join(tags)}{f' and {more} more' if more else ''}" if tagged else ""
        return f"- [{count}: {summary}memories{named}]\n"

    def tokens(self, name: str, pieces: Sequence[Piece]) -> int:
        """Tokens that the part `name` takes if it shows `pieces`, heading included; 0 without
        pieces.
        """
        return self.headings[name] + sum(piece.tokens for piece in pieces) if pieces else 0

    def omitted(self, shown: Mapping[str, Sequence[Piece]]) -> OmittedParts:
        """What a context with the pieces `shown`, by part, leaves out."""

        def has_all_notes(name: str) -> bool:
            return (
                sum(each.place is None and not each.cut for each in shown.get(name, ()))
                == self.notes[name]
            )

        return OmittedParts(
            turns=self.all.turns
            - sum(piece.place is not None for part in shown.values() for piece in part),
            flushed=self.all.flushed,
            files=self.all.files - len(shown.get("files", ())),
            contents=self.all.contents
            - sum(
                piece.mention is not None and piece.mention.content == "whole"
                for piece in shown.get("files", ())
            ),
            images=self.all.images - len(shown.get("images", ())),
            summary=not has_all_notes("long_term"),
            initial_context=not has_all_notes("custom"),
        )


def _references(chain: Sequence[ThreadTail], kind: str, tokenizer: Tokenizer) -> list[Piece]:
    """The newest mention of each file, or each image if `kind` is "images", in the threads of
    `chain`, newest first.
    """
    mentions = [
        (mention, position, tail.thread.id)
        for position, tail in enumerate(chain)
        for mention in (tail.files if kind == "files" else tail.images)
    ]
    mentions.sort(key=lambda entry: (entry[0].at, entry[1], entry[0].turn), reverse=True)
    newest: dict[str, FileMention] = {}
    for mention, _, thread_id in mentions:
        newest.setdefault(mention.path, FileMention(mention.path, thread_id, mention.turn))
    return [
        Piece(text := bullet(mention.path), tokenizer.count(text), (place, 0), mention=mention)
        for place, mention in enumerate(newest.values())
    ]


def _contents(chain: Sequence[ThreadTail]) -> dict[str, str]:
    """The newest content of each file that the threads of `chain` mention, by path; "" for one that
    was not read.
    """
    given = [
        (mention.at, position, mention.path, mention.content)
        for position, tail in enumerate(chain)
        for mention in tail.files
        if mention.content is not None
    ]
    return {path: content for _, _, path, content in sorted(given)}
