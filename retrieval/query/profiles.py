"""Ranking profiles, which are named sets of weights for signals, and how the default one adapts to
a query.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import get_args

from memtypes.model.errors import InvalidRequest
from retrieval.query.intent import asks_for_latest, asks_for_value
from retrieval.query.named_times import QueryTimes
from retrieval.query.request import RankedRequest, Signal

SECOND_PASS = ("expansion", "standing", "current", "link", "reading")
"""Signals that are computed in a second pass, because they depend on the scores by all other
signals.
"""

SIGNALS: tuple[str, ...] = get_args(Signal)
DEFAULT_PROFILE = "default"

LATEST_RECENCY = 0.1
"""Weight that moves from similarity to recency if a query asks for the latest state; more would
cost recall.
"""

TIME_SHARE = 0.2
"""Weight of the time signal if the query names a time; the other weights shrink in proportion."""

CURRENT_SHARE = 0.3
"""Weight of the current signal if the query asks for a present value: enough to rank an update
first.
"""


STANDING = 0.5
"""Weight of the standing signal: how much a hit may gain by it. Where a query has no word of two
texts that are told alike, and few others are stored, even their similarities differ by nearly that.
"""

READING = 0.6
"""Weight of the reading signal: see benchmarks/decisions/reader.md."""


def _weights(**weights: float) -> Mapping[str, float]:
    return dict.fromkeys(SIGNALS, 0.0) | weights


PROFILES: Mapping[str, Mapping[str, float]] = {
    # Context, mention and expansion help to find a memory. Recency, importance and access only
    # separate nearly equal scores: more weight costs recall. `due` and `link` raise due tasks and
    # linked memories above other hits, `standing` the better of two hits that are told alike, by
    # its weight at most. `reading` is 0 where nothing is read.
    DEFAULT_PROFILE: _weights(
        similarity=0.452,
        context=0.175,
        mention=0.121,
        expansion=0.181,
        recency=0.002,
        importance=0.02,
        access=0.007,
        due=0.042,
        standing=STANDING,
        link=1.0,
        reading=READING,
    ),
    "balanced": _weights(similarity=0.4, recency=0.2, importance=0.3, access=0.1),
    "relevance": _weights(similarity=1.0),
    "recent": _weights(similarity=0.6, recency=0.4),
}


def weights_for(request: RankedRequest, times: QueryTimes) -> tuple[str, dict[str, float]]:
    """The name of the ranking profile that the request uses, and the weight of every signal.

    Weights in the request replace the profile's; signals that they omit get 0. The default profile
    gives more weight to `recency` if the query asks for the latest state, to `time` if it names a
    time, and to `current` if it asks for a present value and names no time that is over. Raises
    InvalidRequest for an unknown profile.
    """
    name = request.profile or DEFAULT_PROFILE
    if name not in PROFILES:
        names = ", ".join(sorted(PROFILES))
        raise InvalidRequest(
            f"unknown profile {name!r}; use one of {names}", path="profile", got=name
        )
    if request.weights is not None:
        return name, dict.fromkeys(SIGNALS, 0.0) | {
            str(signal): weight for signal, weight in request.weights.items()
        }
    weights = dict(PROFILES[name])
    if request.reader == "off":
        weights["reading"] = 0.0
    if name != DEFAULT_PROFILE:
        return name, weights
    if asks_for_latest(request.query):
        weights["recency"] += LATEST_RECENCY
        weights["similarity"] -= LATEST_RECENCY
    if times.windows or times.event:
        weights = _with_share(weights, "time", TIME_SHARE)
    if asks_for_value(request.query) and not times.past:
        weights = _with_share(weights, "current", CURRENT_SHARE)
    return name, weights


def _with_share(weights: Mapping[str, float], signal: str, share: float) -> dict[str, float]:
    """`weights` with `share` added to `signal`, after all were reduced by this share."""
    changed = {name: weight * (1.0 - share) for name, weight in weights.items()}
    changed[signal] += share
    return changed
