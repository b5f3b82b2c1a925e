"""Judges whether a newer statement replaces an older one, contests it, or leaves it alone. Pure.

The newer statement replaces the older one if both are the same sentence with another number or
time, and the evidence is strong. Otherwise sufficient evidence makes the two contested. The
evidence is weighed by boosted regression trees over `update_evidence.features`. The feature
"telling" is a weighted sum of the newer text's words: how much it sounds like the report of a
change. The effect of plans, questions, negations and the past tense is learnt from examples.
`benchmarks.training.updates` trains the weights in `updates.npz`.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from importlib.resources import files

import numpy as np
from numpy.typing import NDArray

from ingest.identity.update_evidence import Statement, features, has_same_form

MODEL_FILE = "updates.npz"

SAME_KEY = 0.9
"""Minimum cosine assumed for texts with the same key: in texts as short as "Port: 80" the value
decides the cosine.
"""


class Relation(StrEnum):
    """How a newer statement affects an older one. RESTATES is found by the words, not by the
    model.
    """

    RESTATES = "restates"
    REPLACES = "replaces"
    CONTESTS = "contests"
    UNRELATED = "unrelated"


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a newer statement affects an older one. strength: probability, 0-1, that it updates a
    value of the older.
    """

    relation: Relation
    strength: float


@dataclass(frozen=True, slots=True, eq=False)
class UpdateModel:
    """Trained model (boosted decision trees) that judges whether a newer statement replaces or
    contests an older one.

    words, word_bias: weight of each term of the newer text, and a constant; their sum is the
    feature "telling". names: names of the features, in the order in which the trees number them.
    feature, threshold, left, right, value: the nodes of the trees (tested feature and its
    threshold, indexes of both children, output), as arrays of shape (trees, nodes). Both children
    of a leaf are the leaf itself. base: added to the sum of the trees' outputs. replaces, contests:
    lowest probability at which the newer text replaces or contests the older one.
    """

    words: Mapping[str, float]
    word_bias: float
    names: tuple[str, ...]
    feature: NDArray[np.int16]
    threshold: NDArray[np.float32]
    left: NDArray[np.int16]
    right: NDArray[np.int16]
    value: NDArray[np.float32]
    base: float
    replaces: float
    contests: float

    @classmethod
    def read(cls, stored: bytes) -> UpdateModel:
        """The model in the bytes of an .npz file. Raises ValueError if it is damaged."""
        with np.load(io.BytesIO(stored), allow_pickle=False) as arrays:
            weights = arrays["weights"].astype(np.float64).tolist()
            word_bias, base, replaces, contests = arrays["constants"].tolist()
            return cls(
                words=dict(zip(arrays["words"].tolist(), weights, strict=True)),
                word_bias=word_bias,
                names=tuple(arrays["names"].tolist()),
                **{
                    name: arrays[name]
                    for name in ("feature", "threshold", "left", "right", "value")
                },
                base=base,
                replaces=replaces,
                contests=contests,
            )

    def telling(self, newer: Statement) -> float:
        """Log odds that `newer` reports a change, estimated from its words."""
        return self.word_bias + sum(
            sorted(self.words[term] for term in newer.terms() if term in self.words)
        )

    def probability(self, evidence: Mapping[str, float]) -> float:
        """Probability that the newer of two statements updates a value of the older one. evidence:
        feature values.
        """
        row = np.array([evidence[name] for name in self.names], dtype=np.float32)
        trees = np.arange(len(self.feature))
        node = np.zeros(len(trees), dtype=np.intp)
        for _ in range(self.feature.shape[1]):
            goes_left = row[self.feature[trees, node]] <= self.threshold[trees, node]
            child = np.where(goes_left, self.left[trees, node], self.right[trees, node])
            if (child == node).all():
                break
            node = child
        return float(
            1.0 / (1.0 + np.exp(-(self.base + self.value[trees, node].sum(dtype=np.float64))))
        )

    def judge(self, newer: Statement, older: Statement, cosine: float) -> Verdict:
        """The verdict whether `newer` replaces or contests `older`. cosine: similarity of the
        texts' dense vectors.
        """
        if newer.lower == older.lower:
            return Verdict(Relation.UNRELATED, 0.0)
        if newer.key and newer.key == older.key:
            cosine = max(cosine, SAME_KEY)
        evidence = features(newer, older, cosine, self.telling(newer))
        strength = self.probability(evidence)
        if strength >= self.replaces and has_same_form(evidence) and not newer.tells_an_event:
            return Verdict(Relation.REPLACES, strength)
        return Verdict(
            Relation.CONTESTS if strength >= self.contests else Relation.UNRELATED, strength
        )


@cache
def update_model() -> UpdateModel:
    """The trained model that is shipped with this package."""
    return UpdateModel.read(files("ingest.identity").joinpath(MODEL_FILE).read_bytes())
