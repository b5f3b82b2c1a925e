"""Redacts turns (messages of a conversation thread) and counts their tokens before they are stored."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import re2

from ingest.conversations.policies import PolicyLookup
from ingest.screening.redaction.redactor import RedactedValue, Redactor
from ingest.screening.redaction.scan import replace_leaves
from memtypes.live.thread_policy import Privacy, ThreadPolicy
from memtypes.live.turns import MAX_TURN, NewTurn, Turn, paths
from memtypes.model.errors import InvalidRequest
from memtypes.model.times import Clock, to_utc
from memtypes.offload import offload
from memtypes.ports.encoders import Tokenizer

REDACTED = "[redacted]"
KIND = "policy"
"""Name under which redactions by a thread policy's own patterns are counted, beside kinds such as `email`."""

_REDACTED_FIELDS = ("content", "tool", "model", "metadata", "files", "images")
"""Fields of a turn in which secrets are redacted. A turn with a secret in its agent id is refused instead."""


@dataclass(frozen=True, slots=True)
class TurnScreen:
    """Removes secrets from the turns that callers send, and counts the turns' tokens.

    The tenant's redaction rules and the thread's policy say what is a secret. tokenizer: counts the tokens if the
    policy names no model whose tokenizer is available.
    """

    redactor: Redactor
    policies: PolicyLookup
    tokenizer: Tokenizer
    clock: Clock

    async def turns(self, tenant: str, policy: ThreadPolicy, new: Sequence[NewTurn]) -> RedactedValue[list[Turn]]:
        """The `new` turns without secrets and with token counts, and the number of redactions by kind.

        Raises InvalidRequest if the rules forbid a turn's role or a kind of secret in it, if an agent id contains a
        secret, or if a turn is too long after redaction; Unavailable if the redactor cannot run.
        """
        return await offload((turn.content for turn in new), lambda: self._turns(tenant, policy, new))

    def clean(self, tenant: str, privacy: Privacy, value: Any) -> RedactedValue[Any]:
        """`value`, any JSON, with markers such as [redacted:email] for secrets and for matches of `privacy.redact`."""
        cleaned = self.redactor.clean(tenant, value)
        matched = redacted(cleaned.value, privacy.redact)
        return RedactedValue(matched.value, dict(Counter(cleaned.counts) + Counter(matched.counts)))

    def _turns(self, tenant: str, policy: ThreadPolicy, new: Sequence[NewTurn]) -> RedactedValue[list[Turn]]:
        privacy, tokenizer = policy.privacy, self.policies.tokenizer(policy, self.tokenizer)
        redactions: Counter[str] = Counter()
        turns = []
        for turn in new:
            self._check_role(tenant, privacy, turn.role)
            self.redactor.check_ids(tenant, {"agent_id": turn.agent_id})
            fields = [turn.content, turn.tool, turn.model, turn.metadata, paths(turn.files), paths(turn.images)]
            cleaned = self.clean(tenant, privacy, fields)
            redactions.update(cleaned.counts)
            turns.append(self._turn(turn, dict(zip(_REDACTED_FIELDS, cleaned.value, strict=True)), tokenizer))
        return RedactedValue(turns, dict(redactions))

    def _turn(self, new: NewTurn, fields: dict[str, Any], tokenizer: Tokenizer) -> Turn:
        content: str = fields["content"]
        if len(content) > MAX_TURN:  # a marker may be longer than the secret
            length = f"after redaction the turn has {len(content)} characters; the limit is {MAX_TURN}"
            raise InvalidRequest(length, path="content")
        tokens, now = tokenizer.count(content), to_utc(self.clock())
        return Turn(new.role, tokens=tokens, at=now, agent_id=new.agent_id, pinned=new.pinned, **fields)

    def _check_role(self, tenant: str, privacy: Privacy, role: str) -> None:
        if role in privacy.never_keep_roles:
            raise InvalidRequest(f"turns of role {role!r} are not stored by this thread's policy", path="role")
        if role.casefold() in self.redactor.rules(tenant).never_keep_roles:
            raise InvalidRequest(f"turns of role {role!r} are not stored here", path="role")


def redacted(value: Any, patterns: Sequence[str]) -> RedactedValue[Any]:
    """`value`, any JSON, in which matches of the RE2 `patterns` in strings are replaced by `[redacted]`."""
    counts: Counter[str] = Counter()

    def replace(leaf: Any, _: str | None) -> Any:
        if isinstance(leaf, str):
            for pattern in patterns:
                leaf, matches = re2.subn(pattern, REDACTED, leaf)
                counts[KIND] += matches
        return leaf

    return RedactedValue(replace_leaves(value, replace), +counts)
