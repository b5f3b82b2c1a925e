"""Removes recalled memories from texts that are written, so that they are not stored again.

Whole contexts are recognised by the form in which they are rendered: Markdown (also quoted with
">") or JSON. Single memories are recognised if they were shown before and are quoted word for word,
whatever marks and spaces are between the words. Text that was cut off or reworded is not
recognised. Nor are memories of the same session, because a conversation that is sent again must
match its own memories.

A text that somebody chose to write loses whole contexts only. It is rejected if it has nothing
else, or if it lists memories that were shown. The text of a single one is written, and merged.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import accumulate
from typing import Literal

import msgspec

from ingest.screening.redaction.rules import compile_re2
from ingest.screening.sentences import sentences_in
from ingest.screening.submission import (
    Classification,
    Rejection,
    RejectionCause,
    Submission,
    UntypedDraft,
    with_type,
)
from memtypes.model.filters import All, Compare, Op
from memtypes.model.ids import content_hash
from memtypes.model.memory import Memory
from memtypes.model.policy import LONG_TERM
from memtypes.model.scope import Scope
from memtypes.offload import offload
from memtypes.ports.encoders import SparseEncoder
from memtypes.ports.memory_store import CandidateSearch, Listing, MemoryStore

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

MAX_LISTED = 100
"""Maximum entries of a list that are compared with memories; a longer list is a document."""

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
_FOLDED = rf"<TAG>[ \t]+## (?:{_HEADINGS})[ \t][^\n]*?</TAG>"
"""A context whose lines were joined to one."""
CONTEXTS = [
    *(
        compile_re2(block.replace("TAG", tag))
        for block in (_BLOCK, _FOLDED)
        for tag in ("memories", "working_memory")
    ),
    compile_re2(r'(?m)^\{\n"(?:memories|working_memory)":\{\n(?s:.*?)^\}\n\}[ \t]*$\n?'),
]
"""RE2 patterns of whole contexts: in Markdown, in lines and in one line, and in JSON.

RE2 takes linear time even for a text with many beginnings of a context and no end.
"""

_INTRODUCTION = re.compile(rf"{_QUOTE}{re.escape(INTRODUCTION)}.*$\n?", re.MULTILINE)
_FOOTER = re.compile(
    r"^(?:receipt [\w-]+ \N{MIDDLE DOT} )?\d+ of \d+ tokens(?: \N{MIDDLE DOT} degraded)?$\n?",
    re.MULTILINE,
)
"""The last line that the MCP tool for recall adds to a context."""

_ITEM = re.compile(r"[ \t]*(?:[-*+\u2022]|\d{1,3}[.)])[ \t]+(?=\S)")
_TITLE = re.compile(rf"#{{1,6}} (?:{_HEADINGS}|\d{{4}}-\d\d-\d\d.*)|</?(?:working_)?memor\w*>")


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
        self,
        scope: Scope,
        contents: Sequence[str],
        shown: Collection[str] = (),
        by_user: Collection[int] = (),
    ) -> list[str]:
        """The texts `contents` without the memories that they quote. A text with nothing else
        becomes empty.

        scope: of the messages; quotes of memories of its own session stay. shown: ids of memories
        that the session was certainly shown. Of these, quotes of short texts and of single
        sentences are removed, too. by_user: positions of the messages of users. One that says the
        very same as a captured message stays: a user repeats it, and so it is further evidence.
        Raises Unavailable.
        """
        await self.flush_use_counts()
        remaining = await offload(
            contents, lambda: [without_contexts(content) for content in contents]
        )
        quoted: list[Memory] = []
        if shown:
            certain = (await self.store.get(scope, list(shown))).values()
            quoted = [memory for memory in certain if memory.session_id != scope.session_id]
            quotable = [passage for memory in quoted for passage in self._quotable(memory)]
            remaining = await offload(
                remaining, lambda: [without_quotes(text, quotable) for text in remaining]
            )
        for start in range(0, len(remaining), _BATCH):
            batch = remaining[start : start + _BATCH]
            memories = await self._shown_like(scope, batch)
            contents_of = [memory.content for memory in memories]
            quotable = [text for text in contents_of if MIN_LENGTH <= len(text) <= MAX_LENGTH]
            remaining[start : start + _BATCH] = await offload(
                batch, partial(_all_without_quotes, batch, quotable)
            )
            quoted += memories
        captured = {
            _words(memory.content) for memory in quoted if memory.source and memory.source.captured
        }
        for position in by_user:
            if captured and _words(contents[position]) in captured:
                remaining[position] = contents[position]
        return remaining

    def _quotable(self, memory: Memory) -> set[str]:
        """Texts that a session repeats if it quotes `memory`: its text in a context, its content,
        each sentence of it.
        """
        texts = set(sentences_in(memory.content))
        if len(memory.content) <= MAX_LENGTH:
            texts |= {self.shown_text(memory), memory.content}
        return {text for text in texts if len(text) >= MIN_SHOWN}

    async def were_shown(self, scope: Scope, texts: Sequence[str]) -> bool:
        """Whether each of `texts` is the text of a memory that an agent was shown, word for word.
        Raises Unavailable.
        """
        if len(texts) > MAX_LISTED:
            return False
        await self.flush_use_counts()
        queries = await offload(texts, lambda: [self.sparse.encode_query(text) for text in texts])
        if any(not terms.indices.size for terms in queries):
            return False
        shown = dict.fromkeys(LONG_TERM, _WAS_SHOWN)
        searches = [CandidateSearch(shown, None, terms, DEPTH, columns=False) for terms in queries]
        hits = await self.store.candidates(scope, searches)
        ids = {hit.id: hit.type for of_text in hits for hit in of_text}
        memories = await self.store.get(scope, ids) if ids else {}
        said = {
            _words(form)
            for memory in memories.values()
            for form in (memory.content, self.shown_text(memory))
        }
        return all(_words(text) in said for text in texts)

    async def shown_with_text(self, scope: Scope, text: str) -> Memory | None:
        """A memory with the content `text` that an agent was shown; None if there is none. Raises
        Unavailable.
        """
        same = Compare("content_hash", Op.EQ, content_hash(text))
        page = await self.store.page(scope, Listing(LONG_TERM, same, 1))
        if not page.memories:
            return None
        await self.flush_use_counts()
        page = await self.store.page(scope, Listing(LONG_TERM, All((same, _WAS_SHOWN)), 1))
        return page.memories[0] if page.memories else None

    async def _shown_like(self, scope: Scope, texts: Sequence[str]) -> list[Memory]:
        """Memories of other sessions that an agent was shown, and that share words with one of
        `texts`.
        """
        long = [text for text in texts if len(text) >= MIN_LENGTH]
        queries = await offload(long, lambda: [self.sparse.encode_query(text) for text in long])
        shown = dict.fromkeys(LONG_TERM, _WAS_SHOWN)
        searches = [
            CandidateSearch(shown, None, terms, DEPTH, columns=False)
            for terms in queries
            if terms.indices.size
        ]
        if not searches:
            return []
        ids = {
            hit.id: hit.type
            for hits in await self.store.candidates(scope, searches)
            for hit in hits
        }
        memories = await self.store.get(scope, ids) if ids else {}
        return [memory for memory in memories.values() if memory.session_id != scope.session_id]


@dataclass(frozen=True, slots=True)
class RecallGate:
    """Screening step for texts that a caller writes: what a context showed is not stored again."""

    guard: RecallGuard

    async def examine(self, scope: Scope, submission: Submission) -> Submission | Rejection:
        """The submission without whole contexts; a rejection if its text has nothing else, or only
        lists memories that were shown.

        A text without a type that repeats a memory that was shown gets its type, so that it is
        merged into it. Raises Unavailable.
        """
        if submission.said is not None:  # the messages of a conversation were examined together
            return submission
        draft = submission.draft
        content = without_contexts(draft.content)
        if not content.strip():
            return Rejection(ALL_RECALLED, cause=RejectionCause.RECALLED)
        entries = listed_entries(content)
        is_list = len(entries) > 1 or content != draft.content
        if entries and is_list and await self.guard.were_shown(scope, entries):
            return Rejection(ALL_RECALLED, cause=RejectionCause.RECALLED)
        if content != draft.content:
            draft = draft.model_copy(update={"content": content})
            submission = replace(submission, draft=draft, note=PART_RECALLED)
        if isinstance(draft, UntypedDraft):
            repeated = await self.guard.shown_with_text(scope, content)
            if repeated is not None:
                found = Classification(repeated.type, 1.0, "it repeats a memory that was recalled")
                return with_type(submission, found, {})
        return submission


class _JsonEntry(msgspec.Struct, forbid_unknown_fields=True):
    """A memory in a JSON context."""

    id: str
    at: str
    content: str


_JSON_CONTEXT = msgspec.json.Decoder(
    dict[Literal["memories", "working_memory"], dict[str, list[_JsonEntry] | int]]
)
"""Decodes a context as JSON, however it was written again."""


def without_contexts(text: str) -> str:
    """`text` with recalled contexts (Markdown or JSON blocks) removed; empty if it has nothing
    else.
    """
    if _is_json_context(text):
        return ""
    remaining = text
    for context in CONTEXTS:
        remaining = context.sub("", remaining)
    if remaining == text:
        return text
    return _FOOTER.sub("", _INTRODUCTION.sub("", remaining)).strip()


def _is_json_context(text: str) -> bool:
    if not text.lstrip().startswith("{"):
        return False
    try:
        return bool(_JSON_CONTEXT.decode(text))
    except (msgspec.MsgspecError, UnicodeError):
        return False


def listed_entries(text: str) -> list[str]:
    """The entries of a text that is a list and nothing else; [] for any other text.

    Headings and tags of a context may stand between the entries. An entry goes on in the lines that
    are indented below it.
    """
    entries: list[str] = []
    for line in text.splitlines():
        if not line.strip() or _TITLE.fullmatch(line.strip()):
            continue
        item = _ITEM.match(line)
        if item:
            entries.append(line[item.end() :])
        elif entries and line[0].isspace():
            entries[-1] += f"\n{line.strip()}"
        else:
            return []
    return entries


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


def _all_without_quotes(texts: Sequence[str], quotable: Sequence[str]) -> list[str]:
    return [without_quotes(text, quotable) for text in texts]


def _words(text: str) -> str:
    return _plain(_WORD.findall(text))


def _plain(words: Sequence[str]) -> str:
    """`words` as a text in lower case, with a blank before and after each word, so that `in` finds
    whole words.
    """
    return f" {' '.join(words).lower()} "
