"""Renders chosen memories as the text of a context, in Markdown or JSON, with exact token counts.

Every piece of text ends with a newline, and the next piece begins with a character that no
tokenizer joins to a newline, so that the token counts of pieces add up (see
`memtypes.markdown`).
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import NamedTuple

from memtypes.markdown import CUT_MARK, bullet
from memtypes.model.policy import MemoryType
from memtypes.model.times import rfc3339
from memtypes.ports.encoders import Tokenizer
from retrieval.answer import ContextMessage
from retrieval.context.entries import Entries, EntryFields, day_of

BLOCK = "memories"
WORKING_BLOCK = "working_memory"

GAP = " … "
"""Stands in an excerpt for sentences that were left out."""

NEIGHBOUR = 0.5
"""Part of a neighbouring sentence's weight that a sentence gains: answers often follow the words of
their question.
"""

STEM = 5
"""Number of first letters by which two words are compared, so that their endings do not matter."""

MAX_MISSES = 8
"""Maximum sentences that may fail to fit before an excerpt is finished: each attempt costs a token
count.
"""

LEADING_HITS = 5
"""Number of best hits of which the newest decides which part stands first, if a question is about
the present.
"""

_NEWEST_FIRST = (MemoryType.SEMANTIC, MemoryType.PROCEDURAL)
_BOUNDARY = re.compile(r"(?<=[.!?])\s+|\n+")
_WORD = re.compile(r"\w+")

TITLES: Mapping[MemoryType, str] = MappingProxyType(
    {
        MemoryType.WORKING: "Task at hand",
        MemoryType.EPISODIC: "Events",
        MemoryType.SEMANTIC: "Knowledge",
        MemoryType.PROSPECTIVE: "Tasks",
        MemoryType.PROCEDURAL: "Procedures",
    }
)
"""Titles of the memory types' parts, in the order in which a context shows them."""


@dataclass(frozen=True, slots=True)
class ContextLayout:
    """Templates for one format of a context, a text with blocks ("working_memory" and "memories").

    A block has a part for each memory type, and a part has an entry for each memory. frame: texts
    around the context. opening, closing: texts around a block; {name} is its name. heading,
    footing: texts around a part; {type} and {title} are the type's name and title. separator: text
    before each block, part and entry except the first. entry: renders a memory from its fields and
    the text to show. counted: renders the line that counts tasks which are not listed, at the end
    of their part, from their number. has_days: whether events stand under headings of
    days. has_stored_counts: whether the token count stored with a memory is that of its entry in
    this format, so that it need not be counted again.
    """

    opening: str
    closing: str
    heading: str
    footing: str
    separator: str
    frame: tuple[str, str]
    entry: Callable[[EntryFields, str], str]
    counted: Callable[[int], str]
    has_days: bool
    has_stored_counts: bool

    def first(self, piece: str) -> str:
        """`piece` without its leading separator, as the first of several pieces is rendered."""
        return piece.removeprefix(self.separator)

    def group(self, memory: EntryFields) -> str | None:
        """Day heading above an event; None if the format has no day headings or the memory is no
        event.
        """
        day = day_of(memory) if self.has_days else None
        return None if day is None else day_heading(day)

    def around_block(self, name: str) -> tuple[str, str]:
        """Opening and closing text of the block with this name, such as "memories"."""
        return self.opening.format(name=name), self.closing.format(name=name)

    def around_type(self, kind: MemoryType, counted: int = 0) -> tuple[str, str]:
        """Heading and footing of the part with memories of type `kind`. counted: number of tasks
        that the footing counts.
        """
        footing = self.footing + (self.counted(counted) if counted else "")
        return self.heading.format(type=kind, title=TITLES[kind]), footing


def day_heading(day: str) -> str:
    """Markdown heading of the third level for the events of `day`."""
    return f"### {day}\n"


def _json_entry(memory: EntryFields, text: str) -> str:
    fields = {"id": memory.id, "at": rfc3339(memory.created_at), "content": text}
    return "," + json.dumps(fields, ensure_ascii=False) + "\n"


def _markdown_count(tasks: int) -> str:
    return f"- {tasks} older task{'s' if tasks > 1 else ''} overdue\n"


def _json_count(tasks: int) -> str:
    return f',"older_tasks_overdue":{tasks}\n'


MARKDOWN = ContextLayout(
    opening="<{name}>\n",
    closing="</{name}>\n",
    heading="## {title}\n",
    footing="",
    separator="",
    frame=("", ""),
    entry=lambda _, text: bullet(text),
    counted=_markdown_count,
    has_days=True,
    has_stored_counts=True,
)
"""Lists under short headings, between tags such as <memories>, which recalled text cannot
imitate.
"""

JSON = ContextLayout(
    opening=',"{name}":{{\n',
    closing="}}\n",
    heading=',"{type}":[\n',
    footing="]\n",
    separator=",",
    frame=("{\n", "}\n"),
    entry=_json_entry,
    counted=_json_count,
    has_days=False,
    has_stored_counts=False,
)
"""An object with a member for each block, which has a list for each memory type; one line per
memory.
"""

LAYOUTS: Mapping[str, ContextLayout] = {"markdown": MARKDOWN, "json": JSON, "messages": MARKDOWN}
"""Layouts by the `format` of a request; messages contain Markdown."""


class ShownMemory(NamedTuple):
    """A memory as a context shows it.

    entry, tokens: its rendered text and the size of that. rank: among the hits. content: the shown
    part of its text. allowed: maximum tokens of a cut entry, else None. excerpt: whether the best
    sentences are shown, not the beginning.
    """

    memory: EntryFields
    entry: str
    tokens: int
    rank: int
    content: str
    cut: bool = False
    allowed: int | None = None
    excerpt: bool = False


@dataclass(frozen=True, slots=True)
class RenderedBlock:
    """A block of a context; its text is empty if it has no memories. per_type: tokens of each
    memory type's part.
    """

    text: str
    tokens: int
    per_type: Mapping[MemoryType, int] = field(default_factory=dict)


class Renderer:
    """Renders blocks of memories in one layout and counts their tokens with one tokenizer. entries:
    make the texts of the memories.
    """

    def __init__(self, layout: ContextLayout, tokenizer: Tokenizer, entries: Entries) -> None:
        self.layout = layout
        self.tokenizer = tokenizer
        self.entries = entries

    def cost(self, piece: str) -> int:
        """Tokens of `piece` with or without the separator at its beginning, whichever count is
        larger.
        """
        if not piece:
            return 0
        first = self.layout.first(piece)
        alone = self.tokenizer.count(first)
        return alone if first == piece else max(alone, self.tokenizer.count(piece))

    def is_counted(self, memory: EntryFields) -> bool:
        """Whether the stored token count of `memory` is that of its entry in this layout."""
        tokens = memory.tokens
        return (
            self.layout.has_stored_counts
            and tokens.tokenizer == self.tokenizer.name
            and tokens.renderer == self.entries.version
        )

    def wrapper_tokens(self, block: str) -> int:
        """Tokens of the texts around the block with this name, and of those around the whole
        context.
        """
        return self.cost("".join(self.layout.frame)) + sum(
            map(self.cost, self.layout.around_block(block))
        )

    def heading_tokens(self, kind: MemoryType, counted: int = 0) -> int:
        """Tokens of the heading and footing of the part with memories of type `kind`. counted:
        number of tasks that the footing counts.
        """
        return sum(map(self.cost, self.layout.around_type(kind, counted)))

    def whole(self, memory: EntryFields, rank: int, tokens: int | None = None) -> ShownMemory:
        """`memory` shown in full. rank: the hit's rank. tokens: size of the entry; None counts the
        tokens here.
        """
        entry = self.layout.entry(memory, self.entries.text(memory))
        size = self.cost(entry) if tokens is None else tokens
        return ShownMemory(memory, entry, size, rank, memory.content)

    def cut(self, memory: EntryFields, rank: int, allowed: int) -> ShownMemory | None:
        """Show the beginning of `memory` and CUT_MARK in at most `allowed` tokens; None if not even
        the mark fits.
        """
        # Most words have fewer tokens after a blank, as in an entry
        line = f" {self.entries.text(memory).lstrip()}"
        room = allowed - self.cost(self.layout.entry(memory, CUT_MARK))
        while room > 0:
            text = self.tokenizer.truncate(line, room)[1:] + CUT_MARK
            entry = self.layout.entry(memory, text)
            tokens = self.cost(entry)
            if tokens <= allowed:
                return ShownMemory(memory, entry, tokens, rank, text, cut=True, allowed=allowed)
            room -= tokens - allowed
        return None

    def excerpt(
        self, memory: EntryFields, rank: int, allowed: int, query: str
    ) -> ShownMemory | None:
        """Show the sentences of `memory` that best match `query`, else its beginning; None if
        neither fits.
        """
        whole = self.entries.text(memory)
        # Its only sentence is the whole text, which does not fit
        if not _BOUNDARY.search(whole):
            return self.cut(memory, rank, allowed)
        mark = f" [excerpt of {memory.id[:8]}]"

        def fits(text: str) -> bool:
            return self.cost(self.layout.entry(memory, text + mark)) <= allowed

        sentences = best_sentences(whole, query, fits)
        if sentences is None:
            return self.cut(memory, rank, allowed)
        text = sentences + mark
        entry = self.layout.entry(memory, text)
        return ShownMemory(
            memory, entry, self.cost(entry), rank, text, cut=True, allowed=allowed, excerpt=True
        )

    def block(
        self,
        name: str,
        shown: Sequence[ShownMemory],
        *,
        tasks_first: bool = False,
        newest_first: bool = False,
        counted: int = 0,
    ) -> RenderedBlock:
        """Render the block `name`: events by time, others in given order. tasks_first: whether
        tasks come first. newest_first: for a question about the present: the newest facts, how-tos
        and days first, and first of all the part with the newest of the LEADING_HITS best hits.
        counted: number of tasks that are counted under those shown.
        """
        parts: list[str] = []
        per_type: dict[MemoryType, int] = {}
        kinds = list(TITLES)
        if newest_first:
            newest: dict[MemoryType, float] = {}
            for each in sorted(shown, key=lambda each: each.rank)[:LEADING_HITS]:
                kind = each.memory.type
                newest[kind] = max(_stated(each).timestamp(), newest.get(kind, 0.0))
            kinds.sort(key=lambda kind: -newest.get(kind, 0.0))
        kinds.sort(key=lambda kind: tasks_first and kind is not MemoryType.PROSPECTIVE)
        for kind in kinds:
            if of_type := [each for each in shown if each.memory.type is kind]:
                of_kind = counted if kind is MemoryType.PROSPECTIVE else 0
                ordered = _by_time(kind, of_type, newest_first=newest_first)
                text, per_type[kind] = self._part(kind, ordered, of_kind)
                parts.append(text)
        if not parts:
            return RenderedBlock("", 0)
        opening, closing = self.layout.around_block(name)
        text = opening + self.layout.first("".join(parts)) + closing
        return RenderedBlock(text, self.wrapper_tokens(name) + sum(per_type.values()), per_type)

    def _part(
        self, kind: MemoryType, shown: Sequence[ShownMemory], counted: int
    ) -> tuple[str, int]:
        pieces: list[str] = []
        tokens = self.heading_tokens(kind, counted)
        group = None
        for each in shown:
            day = self.layout.group(each.memory)
            if day is not None and day != group:
                pieces.append(day)
                tokens += self.cost(day)
                group = day
            pieces.append(each.entry)
            tokens += each.tokens
        heading, footing = self.layout.around_type(kind, counted)
        return heading + self.layout.first("".join(pieces)) + footing, tokens


def _by_time(
    kind: MemoryType, shown: Sequence[ShownMemory], *, newest_first: bool
) -> Sequence[ShownMemory]:
    """The memories of one part in the order in which it shows them.

    Events are shown in order of time, with newest_first the newest day first: what was said on one
    day is read from its beginning. Facts and how-tos are shown in the given order, or newest first.
    """
    if kind is MemoryType.EPISODIC:
        events = sorted(
            shown, key=lambda each: (each.memory.created_at, each.memory.seq, each.memory.id)
        )
        if newest_first:
            events.sort(key=lambda each: each.memory.created_at.date(), reverse=True)
        return events
    if newest_first and kind in _NEWEST_FIRST:
        return sorted(shown, key=_stated, reverse=True)
    return shown


def _stated(shown: ShownMemory) -> datetime:
    """When the memory was last stated."""
    return shown.memory.restated_at or shown.memory.created_at


def context_of(
    layout: ContextLayout, blocks: Sequence[RenderedBlock], form: str
) -> str | list[ContextMessage]:
    """The whole context, without empty blocks: one text, or one message per block if `form` is
    "messages".
    """
    texts = [block.text for block in blocks if block.text]
    if form == "messages":
        return [ContextMessage(content=text) for text in texts]
    return layout.frame[0] + layout.first("".join(texts)) + layout.frame[1] if texts else ""


def split_sentences(text: str) -> list[str]:
    """The non-blank sentences and lines of `text`."""
    return [sentence.strip() for sentence in _BOUNDARY.split(text) if sentence.strip()]


def best_sentences(text: str, query: str, fits: Callable[[str], bool]) -> str | None:
    """The sentences that share most words with `query`, in text order, as long as the text `fits`;
    None if none.
    """
    sentences = split_sentences(text)
    weights = _weights(sentences, query)
    chosen: list[int] = []
    misses = 0
    for index in sorted(range(len(sentences)), key=lambda index: (-weights[index], index)):
        if fits(_joined(sentences, more := sorted([*chosen, index]))):
            chosen = more
        elif (misses := misses + 1) == MAX_MISSES:
            break
    return _joined(sentences, chosen) if chosen else None


def _weights(sentences: Sequence[str], query: str) -> list[float]:
    """For each sentence, the summed IDF of the query's words in it, plus a part of its better
    neighbour's sum.
    """
    stems = [_stems(sentence) for sentence in sentences]
    wanted = _stems(query)
    frequencies = {stem: sum(stem in sentence for sentence in stems) for stem in wanted}
    idf = {
        stem: math.log(1 + len(sentences) / count) for stem, count in frequencies.items() if count
    }
    weights = [sum(idf[stem] for stem in sorted(sentence & idf.keys())) for sentence in stems]
    padded = [0.0, *weights, 0.0]
    return [
        weight + NEIGHBOUR * max(padded[index], padded[index + 2])
        for index, weight in enumerate(weights)
    ]


def _stems(text: str) -> set[str]:
    return {word[:STEM] for word in _WORD.findall(text.lower()) if len(word) > 2}


def _joined(sentences: Sequence[str], chosen: Sequence[int]) -> str:
    parts: list[str] = []
    last = -1
    for index in chosen:
        parts.append((GAP if index > last + 1 else " " if parts else "") + sentences[index])
        last = index
    ending = GAP.rstrip() if chosen and chosen[-1] + 1 < len(sentences) else ""
    return "".join(parts).strip() + ending
