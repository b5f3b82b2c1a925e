"""Redacts turns (messages of a conversation thread) and counts their tokens before they are
stored.
"""

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
from memtypes.live.turns import MAX_TURN, NewTurn, Turn, contents, paths
from memtypes.model.errors import InvalidRequest
from memtypes.model.times import Clock, to_utc
from memtypes.offload import offload
from memtypes.ports.encoders import Tokenizer

REDACTED = "[redacted]"
KIND = "policy"
"""Name under which redactions by a thread policy's own patterns are counted, beside kinds such as
`email`.
"""


@dataclass(frozen=True, slots=True)
class ScreenedTurns:
    """Turns without secrets. contents: the newest content of each file that they give, by path."""

    turns: list[Turn]
    contents: dict[str, str]


@dataclass(frozen=True, slots=True)
class TurnScreen:
    """Removes secrets from the turns that callers send, and counts the turns' tokens.

    The tenant's redaction rules and the thread's policy say what is a secret. tokenizer: counts the
    tokens if the policy names no model whose tokenizer is available.
    """

    redactor: Redactor
    policies: PolicyLookup
    tokenizer: Tokenizer
    clock: Clock

    def reason_not_kept(self, tenant: str, policy: ThreadPolicy, role: str) -> str | None:
        """Why turns of this role are never stored; None if they are."""
        if role in policy.privacy.never_keep_roles:
            rule = "privacy.never_keep_roles of this thread's policy"
        elif role.casefold() in self.redactor.rules(tenant).never_keep_roles:
            rule = "never_keep_roles of the redaction rules"
        else:
            return None
        return f"turns of role {role!r} are not kept, as {rule} says"

    async def turns(
        self, tenant: str, policy: ThreadPolicy, new: Sequence[NewTurn]
    ) -> RedactedValue[ScreenedTurns]:
        """The `new` turns without secrets and with token counts, and the number of redactions by
        kind.

        Raises InvalidRequest if the rules forbid a kind of secret in a turn, if an agent id
        contains a secret, or if a turn is too long after redaction; Unavailable if the redactor
        cannot run.
        """
        texts = [text for turn in new for text in (turn.content, *contents(turn.files).values())]
        return await offload(texts, lambda: self._turns(tenant, policy, new))

    def clean(self, tenant: str, privacy: Privacy, value: Any) -> RedactedValue[Any]:
        """`value`, any JSON, with markers such as [redacted:email] for secrets, and [redacted] for
        `privacy.redact`.
        """
        cleaned = self.redactor.clean(tenant, value)
        counts = Counter(cleaned.counts)

        def replace(leaf: Any, _: str | None) -> Any:
            if isinstance(leaf, str):
                for pattern in privacy.redact:
                    leaf, matches = re2.subn(pattern, REDACTED, leaf)
                    counts[KIND] += matches
            return leaf

        return RedactedValue(replace_leaves(cleaned.value, replace), dict(+counts))

    def _turns(
        self, tenant: str, policy: ThreadPolicy, new: Sequence[NewTurn]
    ) -> RedactedValue[ScreenedTurns]:
        tokenizer = self.policies.tokenizer(policy, self.tokenizer)
        redactions: Counter[str] = Counter()
        turns = []
        newest: dict[str, str] = {}
        for turn in new:
            # A secret in it is refused, not redacted
            self.redactor.check_ids(tenant, {"agent_id": turn.agent_id})
            given = contents(turn.files)
            fields = [
                turn.content,
                turn.tool,
                turn.model,
                turn.metadata,
                paths(turn.files),
                paths(turn.images),
                [given.get(path) for path in paths(turn.files)],
            ]
            cleaned = self.clean(tenant, policy.privacy, fields)
            redactions.update(cleaned.counts)
            content, tool, model, metadata, files, images, file_texts = cleaned.value
            newest |= {
                path: text for path, text in zip(files, file_texts, strict=True) if text is not None
            }
            if len(content) > MAX_TURN:  # a marker may be longer than the secret
                length = (
                    f"after redaction the turn has {len(content)} characters; the limit is "
                    f"{MAX_TURN}"
                )
                raise InvalidRequest(length, path="content")
            tokens = tokenizer.count(content)
            now = to_utc(self.clock())
            agent_id = turn.agent_id
            redacted = Turn(
                turn.role,
                content,
                tokens,
                now,
                agent_id,
                files,
                images,
                tool,
                model,
                metadata,
                turn.pinned,
            )
            turns.append(redacted)
        return RedactedValue(ScreenedTurns(turns, newest), dict(redactions))
