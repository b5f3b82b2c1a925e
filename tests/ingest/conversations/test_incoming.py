"""Screening of turns (messages in a thread) before they are stored."""

from __future__ import annotations

import pytest

from ingest.conversations.incoming import TurnScreen
from ingest.conversations.policies import PolicyLookup
from ingest.screening.redaction.redactor import Redactor
from memtypes.live.thread_policy import Privacy, ThreadPolicy
from memtypes.live.turns import MAX_TURN, NewTurn
from memtypes.llms.registry import Registry
from memtypes.model.errors import InvalidRequest
from tests.fakes import FakeTokenizer
from tests.ingest.conversations.builders import NOW

POLICY = ThreadPolicy(privacy=Privacy(redact=["B-[0-9]{3}"], never_keep_roles=["tool"]))


def screen() -> TurnScreen:
    """A screen for incoming turns with the default redaction rules."""
    return TurnScreen(Redactor(), PolicyLookup(Registry), FakeTokenizer(), lambda: NOW)


def test_a_policys_patterns_apply_to_all_strings_of_a_value() -> None:
    """A thread policy's redaction patterns apply to all strings in a JSON value, names of members
    included.

    Redacted names are numbered, so they stay distinct. Numbers and null are unchanged.
    """
    cleaned = screen().clean("t", POLICY.privacy, {"B-123": ["B-456 x", 7, None], "B-124": 1})
    assert cleaned.value == {"[redacted]": ["[redacted] x", 7, None], "[redacted] 2": 1}
    assert cleaned.counts == {"policy": 3}


@pytest.mark.anyio
@pytest.mark.parametrize("padding", ["", " word" * 5_000])
async def test_turns_are_redacted_and_counted(padding: str) -> None:
    """A turn is redacted by the tenant's rules and the policy's patterns, and its tokens are
    counted.

    Large turns are screened in a worker thread.
    """
    new = [NewTurn(role="user", content=f"ann@example.org has B-123{padding}", tool="B-456")]
    screened = await screen().turns("t", POLICY, new)
    (turn,) = screened.value.turns
    assert (turn.content, turn.tool) == (f"[redacted:email] has [redacted]{padding}", "[redacted]")
    assert turn.tokens == FakeTokenizer().count(turn.content)
    assert screened.counts == {"email": 1, "policy": 2}


@pytest.mark.anyio
async def test_turns_that_must_not_be_stored_are_refused() -> None:
    """A turn is refused if redaction made it longer than a turn may be."""
    long = "B-123" * (MAX_TURN // 5)
    with pytest.raises(InvalidRequest, match="after redaction the turn has"):
        await screen().turns("t", POLICY, [NewTurn(role="user", content=long)])
