"""Turns on their way in: without what their tenant and their thread must not keep, and counted. Knows no store."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import re2
from anyio import to_thread

from ingest.screening.redaction.redactor import Cleaned, Redactor
from memtypes.live.thread_policy import Privacy
from memtypes.live.turns import LARGE, MAX_TURN, NewTurn, Turn, paths
from memtypes.model.errors import InvalidRequest
from memtypes.model.times import Clock, to_utc
from memtypes.ports.tokenizer import Tokenizer

_SHOWN = ("content", "tool", "model", "metadata", "files", "images")
"""What of a turn may hold a secret; the ids of agents are addresses."""


REDACTED = "[redacted]"
KIND = "policy"
"""The kind under which matches of a policy's own patterns are counted."""


@dataclass(frozen=True, slots=True)
class Received:
    """Turns as they are kept. redactions: what was taken out of them, by kind."""

    turns: tuple[Turn, ...]
    redactions: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Keeping:
    """How a thread keeps its turns: what it must not keep, and who counts them."""

    privacy: Privacy
    tokenizer: Tokenizer


@dataclass(frozen=True, slots=True)
class Incoming:
    """Makes turns out of what callers send."""

    redactor: Redactor
    clock: Clock

    async def turns(self, tenant: str, kept: Keeping, new: Sequence[NewTurn]) -> Received:
        """The turns without secrets. Raises InvalidRequest for one that must not be kept, and Unavailable."""
        if sum(len(one.content) for one in new) < LARGE:
            return self._turns(tenant, kept, new)
        return await to_thread.run_sync(self._turns, tenant, kept, new)

    def text(self, tenant: str, privacy: Privacy, text: str) -> Cleaned:
        """A text that goes with a thread, without secrets; see `turns`."""
        return self._clean(tenant, privacy, text)

    def _turns(self, tenant: str, kept: Keeping, new: Sequence[NewTurn]) -> Received:
        counts: Counter[str] = Counter()
        made = []
        for one in new:
            self._check_role(tenant, kept.privacy, one.role)
            cleaned = self._clean(tenant, kept.privacy, _shown(one))
            counts.update(cleaned.counts)
            made.append(self._turn(one, dict(zip(_SHOWN, cleaned.value, strict=True)), kept.tokenizer))
        return Received(tuple(made), dict(counts))

    def _turn(self, new: NewTurn, shown: dict[str, Any], tokenizer: Tokenizer) -> Turn:
        content: str = shown["content"]
        if len(content) > MAX_TURN:
            length = f"with its secrets marked the turn has {len(content)} characters, and may have {MAX_TURN}"
            raise InvalidRequest(length, path="content")
        tokens, moment = tokenizer.count(content), to_utc(self.clock())
        return Turn(new.role, tokens=tokens, at=moment, agent_id=new.agent_id, pinned=new.pinned, **shown)

    def _check_role(self, tenant: str, privacy: Privacy, role: str) -> None:
        if role in privacy.never_keep_roles:
            raise InvalidRequest(f"turns of role {role!r} are not kept by this thread's policy", path="role")
        if not self.redactor.allows_role(tenant, role):
            raise InvalidRequest(f"turns of role {role!r} are not kept here", path="role")

    def _clean(self, tenant: str, privacy: Privacy, value: Any) -> Cleaned:
        cleaned = self.redactor.clean(tenant, value)
        own = redacted(cleaned.value, privacy.redact)
        return Cleaned(own.value, dict(Counter(cleaned.counts) + Counter(own.counts)))


def _shown(new: NewTurn) -> list[Any]:
    """What of a turn may hold a secret, in the order of its names."""
    return [new.content, new.tool, new.model, new.metadata, paths(new.files), paths(new.images)]


def redacted(value: Any, patterns: Sequence[str]) -> Cleaned:
    """`value`, any JSON, with what the patterns match in its texts replaced."""
    counts: Counter[str] = Counter()

    def clean(one: Any) -> Any:
        match one:
            case str():
                return text(one)
            case list():
                return [clean(inner) for inner in one]
            case dict():
                return {text(name): clean(inner) for name, inner in one.items()}
            case _:
                return one

    def text(one: str) -> str:
        for pattern in patterns:
            one, times = re2.subn(pattern, REDACTED, one)
            counts[KIND] += times
        return one

    return Cleaned(clean(value), +counts)
