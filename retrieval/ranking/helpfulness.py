"""The probability that a search hit helps to answer the question, which the relevance floor is
compared with.

Scores order the hits, but do not say whether any is good. The probability comes from two logistic
models, trained by `benchmarks.training.helpfulness`. The first judges whether any hit answers the
question: from the question's words that no hit contains, and from the similarity of the best hits.
The second compares each hit with the others.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from memtypes.linear_model import LinearModel
from memtypes.search.candidates import Candidates
from memtypes.search.columns import TERMS
from memtypes.search.vectors import Numbers, TokenVectors
from retrieval.ranking.similarity import idf, occurrences, token_weights

POOL = 200
"""Maximum number of best hits from which the question is judged."""

NEAREST = 8
"""Number of best hits in which each token of the question is expected to have a match."""

Matrix = NDArray[np.float64]
_INT8_SCALE = 127.0
_EPSILON = 1e-9


@dataclass(frozen=True, slots=True, eq=False)
class Matches:
    """Measures of how well each hit matches the question. Rows are hits, best first.

    late: best cosine of each token of the question with a token of the hit, shape (hits, tokens).
    dense: cosines of the dense vectors. shares: weight of each term of the question, by inverse
    document frequency; they sum to 1. has: whether the hit has each of these terms, shape (hits,
    terms). similarity, context: the ranking signals of these names. sessions: number of the hit's
    session, negative if it has none.
    """

    late: Matrix
    dense: Matrix
    shares: Matrix
    has: NDArray[np.bool_]
    similarity: Matrix
    context: Matrix
    sessions: NDArray[np.int32]

    @classmethod
    def from_hits(
        cls, terms: Numbers, hits: Candidates, similarity: Matrix, context: Matrix
    ) -> Matches | None:
        """The matches of `hits`, best first, with a question; None without hits, or dense or token
        similarities.

        terms: the question's terms in the sparse index. similarity, context: these signals of the
        hits, shape (hits,).
        """
        if hits.late is None or hits.dense is None or not len(hits):
            return None
        late = np.maximum(np.nan_to_num(hits.late, nan=0.0), 0.0).astype(np.float64)
        has = np.zeros((len(hits), len(terms)), dtype=np.bool_)
        has[occurrences(hits.columns.column(TERMS), terms)] = True
        weights = idf(has[:POOL].sum(axis=0), min(len(hits), POOL))
        shares = weights / weights.sum() if weights.size else weights
        sessions = hits.columns.column("session_id")
        return cls(
            late, np.nan_to_num(hits.dense, nan=0.0), shares, has, similarity, context, sessions
        )


def certainty_of(
    terms: Numbers,
    tokens: TokenVectors | None,
    hits: Candidates,
    similarity: Matrix,
    context: Matrix,
) -> Matrix | None:
    """The probability that each of `hits` (best first) helps to answer a question, shape (hits,).

    terms: the question's terms in the sparse index. tokens: its token vectors. similarity, context:
    ranking signals of the hits. Returns None if there are no hits, or no dense or token vectors to
    compare, and zeros for a question without tokens, such as an invisible character.
    """
    if tokens is None:
        return None
    if not len(tokens):
        return np.zeros(len(hits))
    matches = Matches.from_hits(terms, hits, similarity, context)
    if matches is None:
        return None
    answerable = _probability("answerable", question_features(matches, tokens)[np.newaxis])
    return combined_certainty(answerable, _probability("helps", hit_features(matches)))


def judges_evidence(encoder: str) -> bool:
    """Whether the models were trained on vectors of the embedder with the fingerprint `encoder`.
    Without that there is no relevance floor.
    """
    return _model("answerable").knows(encoder) and _model("helps").knows(encoder)


def combined_certainty(answerable: Matrix | float, helps: Matrix) -> Matrix:
    """The probability a h / (a h + 1 - a) that a hit helps. a: that any hit answers. h: that it
    helps if any does.
    """
    unanswerable = np.maximum(1.0 - answerable, _EPSILON)
    return answerable * helps / (answerable * helps + unanswerable)


def with_odds(probabilities: Matrix, factor: float) -> Matrix:
    """`probabilities` after their odds p / (1 - p) were multiplied by `factor`."""
    raised = factor * probabilities
    return raised / (raised + 1.0 - probabilities)


def question_features(matches: Matches, tokens: TokenVectors) -> NDArray[np.float32]:
    """Features of a question, for the model that judges whether any hit answers it. tokens: its
    token vectors.
    """
    late = matches.late[:POOL]
    has = matches.has
    best = late.max(axis=0)
    weights = token_weights(late)
    similarity = matches.similarity[:POOL]
    vectors = tokens.astype(np.float64) / _INT8_SCALE
    statistics = [
        np.log1p(len(matches.shares)),
        np.log1p(late.shape[1]),
        float(matches.shares[~has[:POOL].any(axis=0)].sum()),
        float(matches.shares[has[:3].any(axis=0)].sum()),
        float(matches.shares[has[:10].any(axis=0)].sum()),
        float(matches.dense[0]),
        float(np.sort(matches.dense[:POOL])[-5:].mean()),
        float(best.mean()),
        float(np.sort(best)[:3].mean()),
        float(late[0] @ weights),
        float(late.mean(axis=1).max()),
        float(similarity[0]),
        float(similarity[0] - similarity[min(20, len(similarity) - 1)]),
    ]
    unmatched = (1.0 - best) @ vectors
    unmatched_nearest = (1.0 - late[:NEAREST].max(axis=0)) @ vectors
    return np.concatenate([statistics, unmatched, unmatched_nearest]).astype(np.float32)


def hit_features(matches: Matches) -> NDArray[np.float32]:
    """Features of each hit, such as rank and similarity, for the model that compares hits; shape
    (hits, features).
    """
    similarity = matches.similarity
    gap = similarity - similarity.max()
    rank = np.log1p(np.arange(len(similarity)))
    late_scores = matches.late @ token_weights(matches.late[:POOL])
    in_session = matches.sessions >= 0
    sessions = matches.sessions[in_session]
    best_in_session = gap.copy()
    session_best = np.full(int(sessions.max(initial=-1)) + 1, -np.inf)
    np.maximum.at(session_best, sessions, gap[in_session])
    best_in_session[in_session] = session_best[sessions]
    columns = [
        gap,
        similarity,
        late_scores,
        matches.has @ matches.shares,
        matches.dense,
        matches.context,
        rank,
    ]
    return np.column_stack([*columns, best_in_session]).astype(np.float32)


@lru_cache(maxsize=2)
def _model(name: str) -> LinearModel:
    return LinearModel.load("retrieval.ranking", f"{name}.npz")


def _probability(name: str, features: NDArray[np.float32]) -> Matrix:
    probability: Matrix = _model(name).probabilities(features)[:, 1].astype(np.float64)
    return probability
