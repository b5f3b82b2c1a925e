"""Which of two hits took the place of the other: a statement and a later one about the same thing.

A write notices many changes, but not those that are told in other words. For a question about the
present, the later one of two such hits is ranked above the earlier one. If one of the two is a
fact, a task or a how-to that was taken from a conversation, a small logistic model judges the pair,
which `benchmarks.training.succession` trains. Two events, and memories without a session, are
judged by a rule: most events of a conversation change nothing, even if they are about the same
people.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from memtypes.linear_model import FloatArray, LinearModel
from memtypes.model.policy import MemoryType
from memtypes.search.candidates import TYPES, Candidates
from memtypes.search.columns import TERMS, ColumnKind
from memtypes.search.vectors import Numbers
from retrieval.ranking.signals import last_stated
from retrieval.ranking.similarity import idf, occurrences
from retrieval.ranking.sorting import top_positions
from retrieval.ranking.standing import standing, stands_above

BEST = 10
"""Number of best hits, of different texts, among which later statements are searched for."""

MIN_PROBABILITY = 0.15
"""Probability from which a later statement is ranked above an earlier one. Most wrong ones change
the order of two hits that both don't answer, and so harm nobody.
"""

RULE_BEST = 6
"""Number of best hits to which the rule applies. More cost precision where nothing changed."""

MIN_RATIO = 0.4
MIN_RATIO_ALONE = 0.6
"""Minimum score of the later one, as a share of the earlier one's score, by the rule. Below it the
two are about different things. The first applies to two turns of conversations, of which the later
one must give a value, which most do not.
"""

MIN_ANSWER = 0.75
"""Minimum probability that the later one answers the question, as a share of the earlier one's, if
a reader has read them.
"""

LONGEST = 200
"""Maximum tokens of the later one, by the rule. A longer text is also about other things."""

FEATURES = 6
"""Number of features of a pair."""

_EPISODIC = TYPES.index(MemoryType.EPISODIC)
_PROCEDURAL = TYPES.index(MemoryType.PROCEDURAL)

_DAY = np.timedelta64(1, "D") / np.timedelta64(1, "us")
_MARGIN = 1e-6
_SMALL = 1e-3


def succession_boosts(
    candidates: Candidates,
    scores: NDArray[np.float64],
    raised: NDArray[np.float64],
    query_terms: Numbers,
    answers: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Amounts to add to the scores `raised`, so that a later statement ranks above the ones whose
    place it took, shape (candidates,).

    scores, raised: scores before and after linked memories were raised. query_terms: the query's
    terms in the sparse index. answers: probability that each answers the question, of shape
    (candidates,); zeros if they were not read.
    """
    positions = best_of_each_text(candidates, raised)
    boosted = raised.copy()
    if len(positions) < 2:
        return boosted - raised
    pairs, features = pairs_of(candidates, positions, scores, query_terms)
    judged = _model().probabilities(features)[:, 1] >= MIN_PROBABILITY
    follows = _rule(candidates, positions[:RULE_BEST], scores)
    in_session = candidates.columns.has_value("session_id")
    is_event = candidates.kinds == _EPISODIC
    values = standing(candidates)
    untried = (candidates.kinds == _PROCEDURAL) & ~candidates.columns.has_value("success_rate")
    # In order of time, so that what an earlier statement is raised to raises the later ones
    for (earlier, later), is_judged in zip(pairs, judged.tolist(), strict=True):
        both_events = is_event[earlier] and is_event[later]
        both_in_sessions = in_session[earlier] and in_session[later]
        takes_place = (
            is_judged if both_in_sessions and not both_events else (earlier, later) in follows
        )
        # A later way of doing a thing may not have been tried yet
        is_worse = not untried[later] and stands_above(candidates, earlier, later, values)
        answers_too = answers[later] >= MIN_ANSWER * answers[earlier]
        if takes_place and answers_too and not is_worse:
            boosted[later] = max(boosted[later], boosted[earlier] + _MARGIN)
    return boosted - raised


def _rule(
    candidates: Candidates, positions: NDArray[np.intp], scores: NDArray[np.float64]
) -> set[tuple[int, int]]:
    """The pairs (earlier, later) of the candidates at `positions` in which the later one is short,
    by the same or an unknown speaker, and has at least a share of the earlier one's score. A turn
    that follows another turn must also give a value, such as a number.
    """
    columns = candidates.columns
    in_session = columns.has_value("session_id")
    speakers = columns.column("speaker")
    is_short = columns.integers("tokens.count", 0) <= LONGEST
    gives_value = columns.column("gives_value") == 1
    pairs: set[tuple[int, int]] = set()
    for later in positions.tolist():
        for earlier in positions.tolist() if is_short[later] else ():
            both_turns = in_session[later] and in_session[earlier]
            known_speakers = {int(speakers[earlier]), int(speakers[later])} - {ColumnKind.TEXT.none}
            ratio = MIN_RATIO if both_turns else MIN_RATIO_ALONE
            may_follow = len(known_speakers) < 2 and (gives_value[later] or not both_turns)
            if may_follow and scores[later] >= ratio * scores[earlier]:
                pairs.add((earlier, later))
    return pairs


def best_of_each_text(candidates: Candidates, scores: NDArray[np.float64]) -> NDArray[np.intp]:
    """Positions of the BEST candidates with different texts, best first."""
    # A message and its statement may have the same text: twice as many are enough
    positions = top_positions(scores, 2 * BEST)
    hashes = candidates.columns.column("content_hash")[positions]
    _, first = np.unique(hashes, return_index=True)
    return positions[np.sort(first)][:BEST]


def pairs_of(
    candidates: Candidates,
    positions: NDArray[np.intp],
    scores: NDArray[np.float64],
    query_terms: Numbers,
) -> tuple[list[tuple[int, int]], FloatArray]:
    """The pairs (earlier, later) of the candidates at `positions`, in order of the later one's
    time, and the features of each pair, shape (pairs, features).

    Features: the later one's score as a share of the earlier one's (logarithm), the earlier one's
    as a share of the best score, the share of the question's terms in the earlier one, the share of
    the earlier one's terms in the later one, the days between them (logarithm), and whether both
    are of one session. Terms are weighted by inverse document frequency.
    """
    columns = candidates.columns.take(positions)
    is_event = candidates.kinds[positions] == _EPISODIC
    times = last_stated(columns)
    sessions = columns.column("session_id")
    in_session = columns.has_value("session_id")
    has, weights = _weighted_terms(candidates, positions)
    asked, asked_weights = _weighted_terms(candidates, positions, query_terms)
    asked_shares = asked @ (asked_weights / max(asked_weights.sum(), _SMALL))
    shared = (has * weights) @ has.T
    best = np.maximum(scores[positions], 0.0) + _SMALL
    by_time = np.lexsort((columns.column("seq"), times)).tolist()
    pairs: list[tuple[int, int]] = []
    rows: list[list[float]] = []
    for place, later in enumerate(by_time):
        for earlier in by_time[:place]:
            both_events = is_event[earlier] and is_event[later]
            if times[earlier] == times[later] and not both_events:
                continue  # of one batch: nothing says which came first
            days = float((times[later] - times[earlier]).astype(np.float64)) / _DAY
            same_session = in_session[later] and sessions[later] == sessions[earlier]
            pairs.append((int(positions[earlier]), int(positions[later])))
            rows.append(
                [
                    float(np.log(best[later] / best[earlier])),
                    float(best[earlier] / best.max()),
                    float(asked_shares[earlier]),
                    float(shared[earlier, later] / max(shared[earlier, earlier], _SMALL)),
                    float(np.log1p(max(days, 0.0))),
                    float(same_session),
                ]
            )
    return pairs, np.array(rows, dtype=np.float32).reshape(-1, FEATURES)


def _weighted_terms(
    candidates: Candidates, positions: NDArray[np.intp], selected: Numbers | None = None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Which of the candidates at `positions` has each of the `selected` terms (all of these
    candidates' terms if None), shape (positions, terms), and the inverse document frequency of each
    term among all candidates.
    """
    terms: Numbers = candidates.columns.column(TERMS)
    if selected is None:
        selected = np.unique(terms[positions])
        selected = selected[selected != 0]
    has = np.zeros((len(terms), len(selected)), dtype=np.bool_)
    # `occurrences` looks up 255 terms at a time
    for start in range(0, len(selected), 255):
        rows, found = occurrences(terms, selected[start : start + 255])
        has[rows, start + found] = True
    weights = idf(has.sum(axis=0), len(terms))
    return has[positions].astype(np.float64), weights


@lru_cache(maxsize=1)
def _model() -> LinearModel:
    return LinearModel.load("retrieval.ranking", "succession.npz")
