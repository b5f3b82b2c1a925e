"""What in a message is to be remembered for later."""

from __future__ import annotations

import pytest

from ingest.sessions import requests_in


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Remind me to call Ann at 3.30pm. Bye.", ["Remind me to call Ann at 3.30pm."]),
        ("ok! don't forget to send it\nset a reminder for 5pm", ["don't forget to send it", "set a reminder for 5pm"]),
        ("Can you remind me what we decided?", []),
        ("It reminds me of home.", []),
        ("", []),
    ],
)
def test_requests_for_later(text: str, found: list[str]) -> None:
    """A sentence that asks to be reminded is found; a question about the past is none."""
    assert requests_in(text) == found
