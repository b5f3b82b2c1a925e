"""Linear classifiers whose int8 weights are files of this package. They need only numpy; scripts
train them.
"""

from __future__ import annotations

import io
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from memtypes.ports.encoders import weights_of

FloatArray = npt.NDArray[np.float32]

_INT8_MAX = 127


@dataclass(frozen=True, slots=True, eq=False)
class LinearModel:
    """A logistic regression model. weights: float32, shape (classes, features). bias: shape
    (classes,).

    encoders: hashes of the weights of the encoders whose vectors the model was trained on; empty
    for a model that reads no vectors.
    """

    classes: tuple[str, ...]
    weights: FloatArray
    bias: FloatArray
    encoders: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if (
            len(self.classes) < 2
            or self.weights.shape[:1] != self.bias.shape
            or len(self.bias) != len(self.classes)
        ):
            raise ValueError(
                "a linear model needs at least two classes, and a row of weights and a "
                "bias for each"
            )

    @classmethod
    def load(cls, package: str, name: str) -> LinearModel:
        """Read the model in the file `name` of `package`. Raises FileNotFoundError, or ValueError
        if it is damaged.
        """
        return cls.read(files(package).joinpath(name).read_bytes())

    @classmethod
    def read(cls, content: bytes) -> LinearModel:
        """Read the model from the bytes of an .npz file that `save` wrote. Raises ValueError if
        they are damaged.
        """
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            weights = arrays["weights"].astype(np.float32) * arrays["scale"][:, np.newaxis]
            return cls(
                tuple(map(str, arrays["classes"])), weights, arrays["bias"], encoders_in(arrays)
            )

    def save(self, path: Path) -> None:
        """Write the model to the .npz file `path`, with weights rounded to int8 at a scale for each
        class.
        """
        largest = np.abs(self.weights).max(axis=1)
        scale = (np.where(largest > 0, largest, 1) / _INT8_MAX).astype(np.float32)
        rounded = np.rint(self.weights / scale[:, np.newaxis]).astype(np.int8)
        classes = np.array(self.classes)
        np.savez_compressed(
            path,
            classes=classes,
            weights=rounded,
            scale=scale,
            bias=self.bias.astype(np.float32),
            encoders=np.array(self.encoders, dtype=np.str_),
        )

    def knows(self, fingerprint: str) -> bool:
        """Whether the model was trained on vectors of the embedder with this fingerprint. Vectors
        of another one may have the same width and would give arbitrary scores.
        """
        return weights_of(fingerprint) in self.encoders

    def probabilities(self, features: FloatArray) -> FloatArray:
        """Probability of each class for each text, shape (texts, classes). features: shape (texts,
        features).
        """
        return softmax(self.scores(features))

    def scores(self, features: FloatArray) -> FloatArray:
        """Logit of each class for each text, shape (texts, classes). features: shape (texts,
        features).
        """
        scores: FloatArray = features @ self.weights.T + self.bias
        return scores


def encoders_in(arrays: Mapping[str, npt.NDArray[Any]]) -> tuple[str, ...]:
    """The member `encoders` of a model's .npz file; empty for a file without it."""
    return tuple(map(str, arrays["encoders"])) if "encoders" in arrays else ()


def softmax(scores: FloatArray) -> FloatArray:
    """Turn each row of `scores` (logits) into probabilities that sum to 1."""
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    probabilities: FloatArray = powers / powers.sum(axis=1, keepdims=True)
    return probabilities


def from_binary(classes: Sequence[str], weights: FloatArray, bias: float) -> LinearModel:
    """Make a model of two classes from the coefficients and the intercept of scikit-learn's
    LogisticRegression.
    """
    rows = np.stack([np.zeros_like(weights), weights]).astype(np.float32)
    return LinearModel(tuple(classes), rows, np.array([0, bias], dtype=np.float32))


def hashed(terms: Iterable[str], size: int) -> FloatArray:
    """A feature vector of `size` numbers for `terms`. Each adds 1 or -1 at one position; its hash
    selects both.

    Sums are replaced by their signed square roots, and the vector is scaled to length 1. Source:
    Weinberger et al., Feature Hashing for Large Scale Multitask Learning, 2009.
    """
    codes = np.fromiter((zlib.crc32(term.encode()) for term in terms), dtype=np.int64)
    signs = np.where(codes & 1, 1.0, -1.0)
    counts = np.bincount((codes >> 1) % size, weights=signs, minlength=size)
    damped = np.sign(counts) * np.sqrt(np.abs(counts))
    length = float(np.linalg.norm(damped))
    return (damped / length if length else damped).astype(np.float32)
