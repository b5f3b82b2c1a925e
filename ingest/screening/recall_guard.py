"""Removes recalled memories that are quoted in a conversation, so that they are not stored again.

Whole contexts are recognised by the form in which they are rendered: Markdown (also quoted with
">") or JSON. Single memories are recognised if they were shown before and are quoted word for word,
whatever marks and spaces are between the words. Text that was cut off or reworded is not
recognised. Nor are memories of the same session, because a conversation that is sent again must
match its own memories.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass
from itertools import accumulate

from ingest.screening.redaction.rules import compile_re2
from ingest.screening.sentences import sentences_in
from memtypes.model.filters import Compare, Op
from memtypes.model.memory import Memory
from memtypes.model.policy import LONG_TERM
from memtypes.model.scope import Scope
from memtypes.offload import offload
from memtypes.ports.encoders import SparseEncoder
from memtypes.ports.memory_store import CandidateSearch, MemoryStore

ALL_RECALLED = "it contains only text that was recalled from memory"
PART_RECALLED = "text that was recalled from memory was removed"

MIN_LENGTH = 40
MAX_LENGTH = 2_000
"""Minimum and maximum characters of a memory whose quotes are removed.

A shorter text may be said again by anyone, and a longer memory is shown only in part.
"""

MIN_SHOWN = 20
"""Minimum characters of a quoted passage that is removed, if the session was certainly shown its
memory.
"""

INTRODUCTION = "From the memory of this project:"
"""The beginning of the line that a client's hook puts before the context that it adds to a
prompt.
"""

DEPTH = 8
_BATCH = 16
"""Number of messages in one search of the store."""

_WAS_SHOWN = Compare("access_count", Op.GT, 0)
_WORD = re.compile(r"\w+")

_QUOTE = r"^[ \t>]*"
_HEADINGS = "Events|Knowledge|Tasks|Procedures|Task at hand"
_BLOCK = (
    rf"(?m){_QUOTE}<TAG>[ \t]*\r?\n{_QUOTE}## (?:{_HEADINGS})[ "
    rf"\t]*\r?\n(?s:.*?){_QUOTE}</TAG>[ \t]*\r?$\n?"
)
CONTEXTS = [
    *(compile_re2(_BLOCK.replace("TAG", tag)) for tag in ("memories", "working_memory")),
    compile_re2(r'(?m)^\{\n"(?:memories|working_memory)":\{\n(?s:.*?)^\}\n\}[ \t]*$\n?'),
]
"""RE2 patterns of whole contexts: two in Markdown, one in JSON.

RE2 takes linear time even for a text with many beginnings of a context and no end.
"""

_INTRODUCTION = re.compile(rf"{_QUOTE}{re.escape(INTRODUCTION)}.*$\n?", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class RecallGuard:
    """Removes from messages what they quote from memories that an agent was shown.

    flush_use_counts: writes to the store how often memories were shown. It is called before each
    search, which looks for shown memories only. shown_text: the text by which a context shows a
    memory.
    """

    store: MemoryStore
    sparse: SparseEncoder
    flush_use_counts: Callable[[], Awaitable[None]]
    shown_text: Callable[[Memory], str]

    async def without_recalled(
        self, scope: Scope, contents: Sequence[str], shown: Collection[str] = ()
    ) -> list[str]:
        """The texts `contents` without the memories that they quote. A text with nothing else
        becomes empty.

        scope: of the messages; quotes of memories of its own session stay. shown: ids of memories
        that the session was certainly shown. Of these, quotes of short texts and of single
        sentences are removed, too. Raises Unavailable.
        """
        await self.flush_use_counts()
        remaining = await offload(
            contents, lambda: [without_contexts(content) for content in contents]
        )
        if shown:
            memories = (await self.store.get(scope, list(shown))).values()
            others = [memory for memory in memories if memory.session_id != scope.session_id]
            quotable = [passage for memory in others for passage in self._quotable(memory)]
            remaining = await offload(
                remaining, lambda: [without_quotes(text, quotable) for text in remaining]
            )
        for start in range(0, len(remaining), _BATCH):
            remaining[start : start + _BATCH] = await self._without_quotes(
                scope, remaining[start : start + _BATCH]
            )
        return remaining

    def _quotable(self, memory: Memory) -> set[str]:
        """Texts that a session repeats if it quotes `memory`: its text in a context, its content,
        each sentence of it.
        """
        texts = set(sentences_in(memory.content))
        if len(memory.content) <= MAX_LENGTH:
            texts |= {self.shown_text(memory), memory.content}
        return {text for text in texts if len(text) >= MIN_SHOWN}

    async def _without_quotes(self, scope: Scope, texts: list[str]) -> list[str]:
        long = [text for text in texts if len(text) >= MIN_LENGTH]
        queries = await offload(long, lambda: [self.sparse.encode_query(text) for text in long])
        shown = dict.fromkeys(LONG_TERM, _WAS_SHOWN)
        searches = [
            CandidateSearch(shown, None, terms, DEPTH, columns=False)
            for terms in queries
            if terms.indices.size
        ]
        if not searches:
            return texts
        ids = {
            hit.id: hit.type
            for hits in await self.store.candidates(scope, searches)
            for hit in hits
        }
        memories = await self.store.get(scope, ids) if ids else {}
        others = [
            memory.content for memory in memories.values() if memory.session_id != scope.session_id
        ]
        quotable = [content for content in others if MIN_LENGTH <= len(content) <= MAX_LENGTH]
        return await offload(texts, lambda: [without_quotes(text, quotable) for text in texts])


def without_contexts(text: str) -> str:
    """`text` with recalled contexts (Markdown or JSON blocks) removed; empty if it has nothing
    else.
    """
    remaining = text
    for context in CONTEXTS:
        remaining = context.sub("", remaining)
    return text if remaining == text else _INTRODUCTION.sub("", remaining).strip()


def without_quotes(text: str, quotable: Sequence[str]) -> str:
    """`text` without the word-for-word quotes of any text in `quotable`; empty if no word is left.
    Pure.
    """
    words = list(_WORD.finditer(text))
    plain = _plain([word[0] for word in words])
    cuts = list[tuple[int, int]]()
    for quoted in filter(None, map(_WORD.findall, quotable)):
        quote = _plain(quoted)
        first = 0
        counted = 0
        at = plain.find(quote)
        while at >= 0:
            # index of the quote's first word
            first = first + plain.count(" ", counted, at)
            counted = at
            cuts.append((words[first].start(), words[first + len(quoted) - 1].end()))
            at = plain.find(quote, at + len(quote) - 1)
    starts = [*(start for start, _ in sorted(cuts)), None]
    ends = accumulate((end for _, end in sorted(cuts)), max, initial=0)
    remaining = "".join(
        text[end:start].lstrip(".!?" if end else "")
        for end, start in zip(ends, starts, strict=True)
    )
    if remaining == text:
        return text
    return remaining.strip() if _WORD.search(remaining) else ""


def _plain(words: Sequence[str]) -> str:
    """`words` as a text in lower case, with a blank before and after each word, so that `in` finds
    whole words.
    """
    return f" {' '.join(words).lower()} "
