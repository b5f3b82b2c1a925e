"""Ranking profiles (weights of the signals), and how the words of a query change the weights."""

from __future__ import annotations

import pytest

from memtypes.model.errors import InvalidRequest
from retrieval.query.named_times import QueryTimes
from retrieval.query.profiles import (
    CURRENT_SHARE,
    LATEST_RECENCY,
    PROFILES,
    READING,
    SIGNALS,
    TIME_SHARE,
    weights_for,
)
from retrieval.query.request import SearchRequest
from tests.builders import NOW

NO_WEIGHTS = dict.fromkeys(SIGNALS, 0.0)


BESIDE = ("link", "standing", "reading")
"""Signals that raise some hits, beside the weights of the others, which have the sum 1."""


def request(query: str = "what is the plan", **fields: object) -> SearchRequest:
    """A search request for `query`. fields: other fields of the request."""
    return SearchRequest.model_validate({"query": query, "namespace": "n"} | fields)


def weights_of(request: SearchRequest) -> tuple[str, dict[str, float]]:
    """The profile's name and the weights of `request`, asked at NOW."""
    return weights_for(request, QueryTimes.from_query(request.query, NOW))


@pytest.mark.parametrize("name", list(PROFILES))
def test_every_profile_weighs_every_signal_and_sums_to_1(name: str) -> None:
    """The weights of each profile sum to 1, so that scores are from 0 to 1.

    The sum leaves out the signal `link`, which gives a linked memory a share of another hit's
    score, and `reading`, which orders the best hits anew.
    """
    weights = dict(PROFILES[name])
    assert set(weights) == set(SIGNALS)
    del weights["link"], weights["reading"], weights["standing"]
    assert sum(weights.values()) == pytest.approx(1.0)


@pytest.mark.parametrize(("reader", "weight"), [("off", 0.0), ("auto", READING)])
def test_readings_weigh_nothing_where_the_reader_is_off(reader: str, weight: float) -> None:
    assert weights_of(request("tea", reader=reader))[1]["reading"] == weight


def test_the_balanced_profile_has_the_documented_weights() -> None:
    """The weights of the profile "balanced" are similarity 0.4, importance 0.3, recency 0.2 and
    access 0.1.
    """
    expected = NO_WEIGHTS | {"similarity": 0.4, "recency": 0.2, "importance": 0.3, "access": 0.1}
    assert weights_of(request(profile="balanced")) == ("balanced", expected)


def test_weights_in_the_request_replace_those_of_the_profile() -> None:
    """If a request has weights, each signal that it does not name has the weight 0."""
    name, weights = weights_of(request(weights={"recency": 2.0}))
    assert name == "default"
    assert weights == NO_WEIGHTS | {"recency": 2.0}


def test_a_query_for_the_latest_raises_recency() -> None:
    """For "the latest plan", the weight of recency rises by LATEST_RECENCY, and the sum of all
    weights stays 1.

    A profile that the request names is not changed.
    """
    _, plain = weights_of(request("the plan"))
    _, latest = weights_of(request("the latest plan"))
    assert latest["recency"] == pytest.approx(plain["recency"] + LATEST_RECENCY)
    assert sum(latest.values()) - sum(latest[name] for name in BESIDE) == pytest.approx(1.0)
    assert weights_of(request("the latest plan", profile="balanced"))[1] == dict(
        PROFILES["balanced"]
    )


def test_an_unknown_profile_is_refused() -> None:
    with pytest.raises(
        InvalidRequest,
        match="unknown profile 'best'; use one of balanced, default, recent, relevance",
    ):
        weights_of(request(profile="best"))


def test_a_query_for_a_present_value_weighs_the_current_signal() -> None:
    """For "When is the review?", the signal `current` (which raises updates) gets a share of the
    weights.

    For "Where did we go?", its weight is 0, as for each question that names a past time.
    """
    _, weights = weights_of(request("When is the review?"))
    assert weights["current"] == CURRENT_SHARE
    assert sum(weights.values()) - sum(weights[name] for name in BESIDE) == pytest.approx(1.0)
    assert weights_of(request("Where did we go?"))[1]["current"] == 0.0
    assert weights_of(request("What happened?"))[1]["current"] == CURRENT_SHARE
    assert weights_of(request("What happened yesterday?"))[1]["current"] == 0.0


def test_only_a_query_that_names_a_time_is_ranked_by_time() -> None:
    """If a query names a time, such as "yesterday", the signal `time` gets a share of the default
    profile's weights.

    If the request names a profile or weights, they are not changed.
    """
    request = SearchRequest.model_validate(
        {"query": "what did we decide yesterday", "namespace": "n"}
    )
    _, weights = weights_of(request)
    assert weights["time"] == TIME_SHARE
    assert weights["similarity"] == pytest.approx(
        PROFILES["default"]["similarity"] * (1 - TIME_SHARE)
    )
    assert sum(weights.values()) - sum(weights[name] for name in BESIDE) == pytest.approx(1.0)
    assert weights_of(request.model_copy(update={"profile": "balanced"}))[1]["time"] == 0.0
    assert weights_of(request.model_copy(update={"query": "what did we decide"}))[1]["time"] == 0.0
    assert weights_of(request.model_copy(update={"weights": {"recency": 1.0}}))[1]["time"] == 0.0
