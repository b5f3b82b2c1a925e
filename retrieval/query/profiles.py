"""Profiles: named weights of the signals, and how a question shifts them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType

from memtypes.model.errors import InvalidRequest
from retrieval.query.named_times import names_time
from retrieval.query.request import RankedRequest
from retrieval.ranking.fact_recency import asks_for_value

LATER = ("expansion", "current")
"""The signals that follow from the scores which all others give."""

SIGNALS = ("similarity", "context", "mention", "time", "recency", "importance", "access", "due", *LATER)
DEFAULT_PROFILE = "default"
LATEST_RECENCY = 0.1
"""What a question for the latest adds to recency; more costs recall (see benchmarks/LOG.md)."""
TIME = 0.2
"""The part of the score that goes by the time which a question names; the other weights shrink alike (see the log)."""

CURRENT = 0.3
"""The same for a question for a present value: room enough to lift a later statement above the earlier one."""


def _weights(**named: float) -> Mapping[str, float]:
    return MappingProxyType({signal: named.get(signal, 0.0) for signal in SIGNALS})


PROFILES: Mapping[str, Mapping[str, float]] = MappingProxyType(
    {
        # What was said next to it, who said it and the words that it shares with the best help to find a memory. The
        # rest only tells near-equals apart: every additive weight of recency or importance that can outvote similarity
        # costs recall. due lifts what is due and leaves the order of everything else as it was.
        DEFAULT_PROFILE: _weights(
            similarity=0.533,
            context=0.107,
            mention=0.143,
            expansion=0.133,
            recency=0.002,
            importance=0.024,
            access=0.008,
            due=0.05,
        ),
        "balanced": _weights(similarity=0.4, recency=0.2, importance=0.3, access=0.1),
        "relevance": _weights(similarity=1.0),
        "recent": _weights(similarity=0.6, recency=0.4),
    }
)

_LATEST = re.compile(
    r"\b(latest|newest|most recent(ly)?|currently|right now|these days|nowadays|as of (now|today)|up[- ]to[- ]date)\b",
    re.IGNORECASE,
)


def asks_for_latest(query: str) -> bool:
    """Whether `query` asks for how things stand now rather than for what was."""
    return _LATEST.search(query) is not None


def weights_for(request: RankedRequest) -> tuple[str, dict[str, float]]:
    """The name of the profile and the weight of every signal.

    Weights in the request replace the profile's, and unnamed signals get 0. The default profile is raised in recency by
    a question for the latest, in time by one that names a time, and in current by one for a present value. Raises
    InvalidRequest for an unknown profile.
    """
    name = request.profile or DEFAULT_PROFILE
    if name not in PROFILES:
        known = ", ".join(sorted(PROFILES))
        raise InvalidRequest(f"unknown profile {name!r}; known are {known}", path="profile", got=name)
    if request.weights is not None:
        return name, {signal: float(request.weights.get(signal, 0.0)) for signal in SIGNALS}  # type: ignore[call-overload]
    weights = dict(PROFILES[name])
    if name == DEFAULT_PROFILE and asks_for_latest(request.query):
        weights["recency"] += LATEST_RECENCY
        weights["similarity"] -= LATEST_RECENCY
    if name == DEFAULT_PROFILE and names_time(request.query):
        weights = _leaning(weights, "time", TIME)
    if name == DEFAULT_PROFILE and asks_for_value(request.query):
        weights = _leaning(weights, "current", CURRENT)
    return name, weights


def _leaning(weights: Mapping[str, float], signal: str, share: float) -> dict[str, float]:
    """`weights` with `share` of the whole for one signal; the others shrink alike."""
    leaning = {name: weight * (1.0 - share) for name, weight in weights.items()}
    leaning[signal] += share
    return leaning
