"""Chosen memories to the text of a context, with the exact tokens of each part."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from memtypes.model.policy import MemoryType
from memtypes.ports.tokenizer import Tokenizer
from memtypes.search.passage import Passage
from retrieval.answer import ContextMessage
from retrieval.context.excerpt import excerpt
from retrieval.context.layout import CUT_MARK, ORDER, ContextLayout, JsonLayout, MarkdownLayout

BLOCK = "memories"
WORKING_BLOCK = "working_memory"

LAYOUTS: Mapping[str, ContextLayout] = {
    "markdown": MarkdownLayout(),
    "json": JsonLayout(),
    "messages": MarkdownLayout(),
}
"""Layouts by the name in a request; messages contain Markdown."""


class ShownMemory(NamedTuple):
    """A memory in a context.

    entry: its rendered piece. rank: of its hit. content: the text that is shown. allowed: tokens to which it was cut.
    excerpt: whether passages are shown rather than the beginning.
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
class RenderedBlock:
    """One block of a context. text: empty without any memory. tokens: of the whole text. per_type: of each part."""

    text: str
    tokens: int
    per_type: Mapping[MemoryType, int] = field(default_factory=dict)


class Renderer:
    """Renders blocks in one layout and counts them with one tokenizer."""

    def __init__(self, layout: ContextLayout, tokenizer: Tokenizer) -> None:
        self.layout = layout
        self._tokenizer = tokenizer
        self._frame_tokens = self.cost(layout.whole([])) if layout.whole([]) else 0

    def cost(self, piece: str) -> int:
        """The most tokens that `piece` takes, with or without its separator."""
        first = self.layout.first(piece)
        alone = self._tokenizer.count(first)
        return alone if first == piece else max(alone, self._tokenizer.count(piece))

    def wrapper_tokens(self, block: str) -> int:
        """Tokens of the pieces around a block."""
        return self._frame_tokens + self.cost(self.layout.opening(block)) + self.cost(self.layout.closing(block))

    def heading_tokens(self, kind: MemoryType) -> int:
        """Tokens of the pieces around a type's part."""
        footing = self.layout.footing()
        return self.cost(self.layout.heading(kind)) + (self.cost(footing) if footing else 0)

    def whole(self, passage: Passage, rank: int, tokens: int | None = None) -> ShownMemory:
        """All of `passage`. tokens: of its entry, where they are known."""
        entry = self.layout.entry(passage, passage.line)
        return ShownMemory(passage, entry, self.cost(entry) if tokens is None else tokens, rank, passage.content)

    def cut(self, passage: Passage, rank: int, allowed: int) -> ShownMemory | None:
        """The beginning of `passage` in at most `allowed` tokens; None when not even the mark fits."""
        room = allowed
        while room > 0:
            text = self._tokenizer.truncate(passage.line, room) + CUT_MARK
            entry = self.layout.entry(passage, text)
            tokens = self.cost(entry)
            if tokens <= allowed:
                return ShownMemory(passage, entry, tokens, rank, text, cut=True, allowed=allowed)
            room -= tokens - allowed
        return None

    def excerpt(self, passage: Passage, rank: int, allowed: int, query: str) -> ShownMemory | None:
        """The sentences of `passage` that matter to `query`, in at most `allowed` tokens; else its beginning."""
        mark = f" [excerpt of {passage.id[:8]}]"

        def fits(text: str) -> bool:
            return self.cost(self.layout.entry(passage, text + mark)) <= allowed

        sentences = excerpt(passage.line, query, fits)
        if sentences is None:
            return self.cut(passage, rank, allowed)
        text = sentences + mark
        entry = self.layout.entry(passage, text)
        return ShownMemory(passage, entry, self.cost(entry), rank, text, cut=True, allowed=allowed, excerpt=True)

    def block(self, name: str, shown: Sequence[ShownMemory]) -> RenderedBlock:
        """`shown` as one block: types in their order, each in reading order."""
        parts: list[str] = []
        per_type: dict[MemoryType, int] = {}
        for kind in ORDER:
            of_type = [memory for memory in shown if memory.passage.type is kind]
            if of_type:
                text, per_type[kind] = self._part(kind, of_type)
                parts.append(text)
        if not parts:
            return RenderedBlock("", 0)
        text = self.layout.opening(name) + self.layout.first("".join(parts)) + self.layout.closing(name)
        return RenderedBlock(text, self.wrapper_tokens(name) + sum(per_type.values()), per_type)

    def _part(self, kind: MemoryType, shown: Sequence[ShownMemory]) -> tuple[str, int]:
        pieces: list[str] = []
        tokens = self.heading_tokens(kind)
        group: str | None = None
        for memory in sorted(shown, key=_reading_order):
            heading = self.layout.group(memory.passage)
            if heading is not None and heading != group:
                pieces.append(heading)
                tokens += self.cost(heading)
                group = heading
            pieces.append(memory.entry)
            tokens += memory.tokens
        text = self.layout.heading(kind) + self.layout.first("".join(pieces)) + self.layout.footing()
        return text, tokens


def context_of(layout: ContextLayout, blocks: Sequence[RenderedBlock], form: str) -> str | list[ContextMessage]:
    """The context of `blocks`, without empty ones: one text, or one message for each block."""
    texts = [block.text for block in blocks if block.text]
    if form == "messages":
        return [ContextMessage(content=text) for text in texts]
    return layout.whole(texts) if texts else ""


def _reading_order(shown: ShownMemory) -> tuple[float, int, str]:
    """Events in the order in which they happened; working memory as it was chosen; everything else best first."""
    passage = shown.passage
    if passage.type is MemoryType.WORKING:
        return (0.0, 0, "")
    if passage.type is MemoryType.EPISODIC:
        return (passage.created_at.timestamp(), passage.seq, passage.id)
    return (shown.rank, 0, passage.id)
