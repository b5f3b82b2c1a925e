"""What the service recalled and that comes back in a conversation without the context around it: found in the store.

Whole memories that were shown to somebody before, quoted word for word, whatever stands between the words. Knows
nothing of reworded text. What the same session said itself is not looked for: a conversation that is sent again must
find itself.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from ingest.screening.context_echo import without_recalled
from memtypes.model.filters import Compare, Op
from memtypes.model.memory import Memory
from memtypes.model.policy import LONG_TERM
from memtypes.model.scope import Scope
from memtypes.offload import offload
from memtypes.ports.encoders import SparseEncoder
from memtypes.ports.memory_store import CandidateSearch, MemoryStore

LEAST, MOST = 40, 2_000
"""Characters of a memory that is looked for: what is shorter anybody may say again, what is longer is shown in part."""

DEPTH = 8
_AT_ONCE = 16
"""Messages that are looked up in one call of the store."""

_SHOWN = Compare("access_count", Op.GT, 0)
_WORD = re.compile(r"\w+")
_SUBSTANCE = re.compile(r"\w")


@dataclass(frozen=True, slots=True)
class RecallGuard:
    """Takes recalled text out of messages. settle: has every showing noted that is still to be."""

    store: MemoryStore
    sparse: SparseEncoder
    settle: Callable[[], Awaitable[None]]

    async def rests(self, scope: Scope, contents: Sequence[str]) -> list[str]:
        """Each of `contents` without what was recalled: unchanged where nothing was, empty where nothing else was said.

        scope: with the session whose messages they are. Raises Unavailable.
        """
        await self.settle()
        rests = await offload(contents, lambda: [without_recalled(content) for content in contents])
        for start in range(0, len(rests), _AT_ONCE):
            rests[start : start + _AT_ONCE] = await self._without_quotes(scope, rests[start : start + _AT_ONCE])
        return rests

    async def _without_quotes(self, scope: Scope, texts: list[str]) -> list[str]:
        searches = await offload(texts, lambda: self._searches(texts))
        if not searches:
            return texts
        found = {one.id: one.type for near in await self.store.candidates(scope, searches) for one in near}
        memories = await self.store.get(scope, found) if found else {}
        quoted = [memory for memory in memories.values() if _may_be_quoted(memory, scope)]
        quotable = [memory.content for memory in quoted]
        return await offload(texts, lambda: [without_quotes(text, quotable) for text in texts])

    def _searches(self, texts: list[str]) -> list[CandidateSearch]:
        words = [self.sparse.encode_query(text) for text in texts if len(text) >= LEAST]
        return [
            CandidateSearch(dict.fromkeys(LONG_TERM, _SHOWN), None, sparse, DEPTH, columns=False)
            for sparse in words
            if sparse.indices.size
        ]


def _may_be_quoted(memory: Memory, scope: Scope) -> bool:
    return memory.session_id != scope.session_id and LEAST <= len(memory.content) <= MOST


def without_quotes(text: str, quotable: Sequence[str]) -> str:
    """`text` without each of `quotable` that stands in it word for word; empty when no word is left. Pure."""
    rest = text
    for quote in sorted(quotable, key=len, reverse=True):
        words = _WORD.findall(quote)
        if words:
            rest = re.sub(
                r"(?<!\w)" + r"\W+".join(map(re.escape, words)) + r"(?!\w)[.!?]*", "", rest, flags=re.IGNORECASE
            )
    if rest == text:
        return text
    return rest.strip() if _SUBSTANCE.search(rest) else ""
