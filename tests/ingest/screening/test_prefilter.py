"""The pre-filter, which rejects trivial texts of captured streams."""

from __future__ import annotations

import pytest

from ingest.screening.prefilter import MAX_SCOPES, Prefilter, RecentTexts, objection
from ingest.screening.submission import ReviewMode, Submission
from memtypes.model.scope import Scope
from tests.ingest.doubles import SCOPE, Bench, draft

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("ok", "filler"),
        ("Thanks so much!", "filler"),
        ("Got it \N{THUMBS UP SIGN}", "filler"),
        ("...", "no words"),
        ("That was quite something", "shorter than 50 characters"),
        ("Alice likes tea", None),
        ("The build fails on ARM", None),
        ("We walked along the river until the rain came and drove us home.", None),
    ],
)
def test_trivial_texts_are_rejected(text: str, reason: str | None) -> None:
    """Filler, very short texts and texts without words are rejected; short statements are not."""
    assert objection(text) == reason


async def test_only_captured_texts_are_rejected() -> None:
    """Explicit writes and imports pass the pre-filter, however short they are."""
    bench = Bench(gates=(Prefilter(),))
    outcomes = await bench.ingestor.write(
        SCOPE,
        [
            draft("ok"),
            Submission(draft("okay"), ReviewMode.AUTO),
            Submission(draft("oh"), ReviewMode.SKIP, captured=True),
            Submission(draft("yes"), captured=True),
        ],
    )
    assert [one.status for one in outcomes] == ["stored", "stored", "stored", "rejected"]
    assert outcomes[3].reason == "trivial: filler"


async def test_repetitions_in_a_namespace_are_rejected() -> None:
    """Blanks do not matter; the same text in another namespace passes."""
    recent = RecentTexts()
    bench = Bench(gates=(Prefilter(recent),), recent=recent)
    text = "The build of the shop fails on ARM since Monday."
    captured = [Submission(draft(one), captured=True) for one in (text, f" {text}")]
    assert (await bench.ingestor.write(SCOPE, captured[:1]))[0].status == "stored"
    again = await bench.ingestor.write(SCOPE, captured[1:])
    assert again[0].reason == "trivial: the same text is among the last stored"
    assert (await bench.ingestor.write(Scope("acme", "other"), captured[:1]))[0].status == "stored"


def test_only_the_last_hundred_are_remembered() -> None:
    """The oldest texts of a namespace, and the least recently used namespaces, are forgotten."""
    recent = RecentTexts()
    for index in range(101):
        recent.add(SCOPE, f"text {index}")
    assert not recent.holds(SCOPE, "text 0")
    assert recent.holds(SCOPE, "text 1")
    for index in range(MAX_SCOPES):
        recent.add(Scope("acme", f"n{index}"), "text")
    assert not recent.holds(SCOPE, "text 100")
