"""What may bring something up to date."""

from __future__ import annotations

import pytest

from ingest.writing.drafts import gives_value


@pytest.mark.parametrize(
    ("text", "gives"),
    [
        ("I secured 5 interviews", True),
        ("I have seven women as mentees", True),
        ("The review was postponed", True),
        ("It moved to the other office", True),
        ("I like tea", False),
        ("Thanks, that sounds good!", False),
    ],
)
def test_numbers_and_changes(text: str, gives: bool) -> None:  # noqa: FBT001
    """A number, or a word for a change."""
    assert gives_value(text) is gives
