"""Profiles, and what a question's words change."""

from __future__ import annotations

import pytest

from memtypes.model.errors import InvalidRequest
from retrieval.query.intent import is_how_to, is_task_like
from retrieval.query.profiles import LATEST_RECENCY, PROFILES, SIGNALS, TIME, asks_for_latest, weights_for
from retrieval.query.request import SearchRequest

NOTHING = dict.fromkeys(SIGNALS, 0.0)


def request(query: str = "what is the plan", **fields: object) -> SearchRequest:
    """A search."""
    return SearchRequest.model_validate({"query": query, "namespace": "n"} | fields)


@pytest.mark.parametrize("name", list(PROFILES))
def test_every_profile_weighs_every_signal_and_sums_to_1(name: str) -> None:
    """So that scores of all profiles lie in [0, 1]."""
    assert set(PROFILES[name]) == set(SIGNALS)
    assert sum(PROFILES[name].values()) == pytest.approx(1.0)


def test_balanced_is_as_documented() -> None:
    """Similarity 0.4, importance 0.3, recency 0.2, access 0.1."""
    expected = NOTHING | {"similarity": 0.4, "recency": 0.2, "importance": 0.3, "access": 0.1}
    assert weights_for(request(profile="balanced")) == ("balanced", expected)


def test_given_weights_replace_the_profiles() -> None:
    """Signals that they do not name get 0."""
    name, weights = weights_for(request(weights={"recency": 2.0}))
    assert name == "default"
    assert weights == NOTHING | {"recency": 2.0}


def test_a_question_for_the_latest_raises_recency() -> None:
    """Only in the default profile, and the sum stays 1."""
    _, plain = weights_for(request())
    _, latest = weights_for(request("what is the latest plan"))
    assert latest["recency"] == pytest.approx(plain["recency"] + LATEST_RECENCY)
    assert sum(latest.values()) == pytest.approx(1.0)
    assert weights_for(request("the latest plan", profile="balanced"))[1] == dict(PROFILES["balanced"])


def test_an_unknown_profile_is_refused_with_the_known_ones() -> None:
    """The message says what is there."""
    with pytest.raises(InvalidRequest, match="unknown profile 'best'; known are balanced, default, recent, relevance"):
        weights_for(request(profile="best"))


@pytest.mark.parametrize(
    ("query", "latest"),
    [
        ("What is my latest address?", True),
        ("Where does Ana work currently?", True),
        ("most recently changed setting", True),
        ("Which framework did we choose?", False),
        ("What did he know about it?", False),
    ],
)
def test_what_asks_for_the_latest(query: str, latest: bool) -> None:  # noqa: FBT001
    """By its words."""
    assert asks_for_latest(query) is latest


@pytest.mark.parametrize(
    ("query", "task", "how"),
    [
        ("what is left to do on the importer?", True, False),
        ("any reminders for Monday?", True, False),
        ("how do I deploy the service?", False, True),
        ("steps to roll back a migration", False, True),
        ("who is Ana?", False, False),
    ],
)
def test_task_like_and_how_to_questions_are_told_by_their_words(query: str, task: bool, how: bool) -> None:  # noqa: FBT001
    """They move budget between types."""
    assert (is_task_like(query), is_how_to(query)) == (task, how)


def test_only_a_query_that_names_a_time_is_ranked_by_time() -> None:
    """The other weights shrink in proportion; other profiles and explicit weights stay as they are."""
    request = SearchRequest.model_validate({"query": "what did we decide yesterday", "namespace": "n"})
    _, weights = weights_for(request)
    assert weights["time"] == TIME
    assert weights["similarity"] == pytest.approx(PROFILES["default"]["similarity"] * (1 - TIME))
    assert sum(weights.values()) == pytest.approx(1.0)
    assert weights_for(request.model_copy(update={"profile": "balanced"}))[1]["time"] == 0.0
    assert weights_for(request.model_copy(update={"query": "what did we decide"}))[1]["time"] == 0.0
    assert weights_for(request.model_copy(update={"weights": {"recency": 1.0}}))[1]["time"] == 0.0
