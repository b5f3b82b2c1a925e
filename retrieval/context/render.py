"""Chosen memories to the text that is sent, with the exact tokens of each part."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from memtypes.model.policy import MemoryType
from memtypes.ports.tokenizer import Tokenizer
from memtypes.search.passage import Passage
from retrieval.answer import Message
from retrieval.context.excerpt import excerpt
from retrieval.context.layout import CUT_MARK, ORDER, Json, Layout, Markdown

BLOCK = "memories"
WORKING_BLOCK = "working_memory"

LAYOUTS: Mapping[str, Layout] = {"markdown": Markdown(), "json": Json(), "messages": Markdown()}
"""By the name a request gives; messages carry Markdown."""


class Shown(NamedTuple):
    """A memory in a context. entry: its piece. rank: of its hit. content: the text that is shown.

    allowed: tokens that it was cut to fit in. excerpt: whether passages are shown, not the beginning.
    """

    passage: Passage
    entry: str
    tokens: int
    rank: int
    content: str
    cut: bool = False
    allowed: int | None = None
    excerpt: bool = False


@dataclass(frozen=True, slots=True)
class Block:
    """One block of a context. text: empty when nothing is in it. tokens: of the whole; per_type: of each part."""

    text: str
    tokens: int
    per_type: Mapping[MemoryType, int] = field(default_factory=dict)


class Renderer:
    """Writes blocks in one layout and counts them with one tokenizer."""

    def __init__(self, layout: Layout, tokenizer: Tokenizer) -> None:
        self.layout = layout
        self._tokenizer = tokenizer
        self._frame = self.cost(layout.whole([])) if layout.whole([]) else 0

    def cost(self, piece: str) -> int:
        """The most tokens that `piece` takes, wherever it stands."""
        first = self.layout.first(piece)
        alone = self._tokenizer.count(first)
        return alone if first == piece else max(alone, self._tokenizer.count(piece))

    def wrapper_tokens(self, block: str) -> int:
        """Tokens of the pieces around a block."""
        return self._frame + self.cost(self.layout.opening(block)) + self.cost(self.layout.closing(block))

    def heading_tokens(self, kind: MemoryType) -> int:
        """Tokens of what stands around a type's part."""
        footing = self.layout.footing()
        return self.cost(self.layout.heading(kind)) + (self.cost(footing) if footing else 0)

    def shown(self, passage: Passage, rank: int, tokens: int | None = None) -> Shown:
        """`passage` as a whole; tokens: of its entry, where they are known already."""
        entry = self.layout.entry(passage, passage.line)
        return Shown(passage, entry, self.cost(entry) if tokens is None else tokens, rank, passage.content)

    def shown_cut(self, passage: Passage, rank: int, allowed: int) -> Shown | None:
        """The beginning of `passage` in at most `allowed` tokens; None when not even the mark fits."""
        room = allowed
        while room > 0:
            text = self._tokenizer.truncate(passage.line, room) + CUT_MARK
            entry = self.layout.entry(passage, text)
            tokens = self.cost(entry)
            if tokens <= allowed:
                return Shown(passage, entry, tokens, rank, text, cut=True, allowed=allowed)
            room -= tokens - allowed
        return None

    def shown_excerpt(self, passage: Passage, rank: int, allowed: int, query: str) -> Shown | None:
        """What of `passage` matters to `query`, in at most `allowed` tokens; its beginning where no sentence fits."""
        mark = f" [excerpt of {passage.id[:8]}]"

        def fits(text: str) -> bool:
            return self.cost(self.layout.entry(passage, text + mark)) <= allowed

        found = excerpt(passage.line, query, fits)
        if found is None:
            return self.shown_cut(passage, rank, allowed)
        entry = self.layout.entry(passage, found + mark)
        return Shown(passage, entry, self.cost(entry), rank, found + mark, cut=True, allowed=allowed, excerpt=True)

    def block(self, name: str, shown: Sequence[Shown]) -> Block:
        """`shown` as one block: parts in their order, each in reading order."""
        parts: list[str] = []
        per_type: dict[MemoryType, int] = {}
        for kind in (MemoryType.WORKING, *ORDER):
            of_type = [one for one in shown if one.passage.type is kind]
            if of_type:
                text, per_type[kind] = self._part(kind, of_type)
                parts.append(text)
        if not parts:
            return Block("", 0)
        text = self.layout.opening(name) + self.layout.first("".join(parts)) + self.layout.closing(name)
        return Block(text, self.wrapper_tokens(name) + sum(per_type.values()), per_type)

    def _part(self, kind: MemoryType, shown: Sequence[Shown]) -> tuple[str, int]:
        entries: list[str] = []
        tokens = self.heading_tokens(kind)
        group: str | None = None
        for one in sorted(shown, key=_reading_order):
            heading = self.layout.group(one.passage)
            if heading is not None and heading != group:
                entries.append(heading)
                tokens += self.cost(heading)
                group = heading
            entries.append(one.entry)
            tokens += one.tokens
        text = self.layout.heading(kind) + self.layout.first("".join(entries)) + self.layout.footing()
        return text, tokens


def context_of(layout: Layout, blocks: Sequence[Block], form: str) -> str | list[Message]:
    """The context of `blocks`, the empty ones left out: one text, or a message a block."""
    texts = [block.text for block in blocks if block.text]
    if form == "messages":
        return [Message(content=text) for text in texts]
    return layout.whole(texts) if texts else ""


def _reading_order(shown: Shown) -> tuple[float, int, str]:
    """Events in the order in which they happened; the task at hand as it was chosen; everything else best first."""
    if shown.passage.type is MemoryType.WORKING:
        return (0.0, 0, "")
    if shown.passage.type is MemoryType.EPISODIC:
        return (shown.passage.created_at.timestamp(), shown.passage.seq, shown.passage.id)
    return (shown.rank, 0, shown.passage.id)
