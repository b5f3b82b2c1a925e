"""A trained attention model that scores a text by its token states (the encoder's vector of each token).

A few learnt queries attend to the token states. Linear layers score what the queries read, and the mean of the states.
`benchmarks.training.screening` trains all scores together; to run the model, numpy is enough.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from memtypes.linear_model import FloatArray
from memtypes.search.vectors import Embedding

_INT8_MAX = 127


@dataclass(frozen=True, slots=True, eq=False)
class AttentionModel:
    """Weights of the model that scores a text by its token states (the encoder's vector of each token).

    classes: names of the scores. queries: number of learnt queries. read: matrix of shape (dimensions, queries +
    queries x values), which gives the attention of each query at a token and the values that it reads there. out:
    matrix of shape (queries x values, classes). mean: matrix of shape (dimensions, classes), for the mean of the token
    states. foreign: fixed scores of texts in other languages than English, which the encoder does not know.
    """

    classes: tuple[str, ...]
    queries: int
    read: FloatArray
    read_bias: FloatArray
    out: FloatArray
    mean: FloatArray
    bias: FloatArray
    foreign: FloatArray

    @classmethod
    def load(cls, package: str, name: str) -> AttentionModel:
        """The model stored as the file `name` in the package `package`. Raises FileNotFoundError if there is none."""
        with np.load(io.BytesIO(files(package).joinpath(name).read_bytes()), allow_pickle=False) as arrays:
            matrices = {key: arrays[key].astype(np.float32) * arrays[f"{key}_scale"] for key in ("read", "out", "mean")}
            biases = {key: arrays[key] for key in ("read_bias", "bias", "foreign")}
            return cls(tuple(map(str, arrays["classes"])), int(arrays["queries"]), **matrices, **biases)

    def save(self, path: Path) -> None:
        """Write the model to `path`, with each matrix rounded to int8; each of its columns has its own scale."""
        arrays: dict[str, npt.NDArray[Any]] = {
            "classes": np.array(self.classes),
            "queries": np.array(self.queries),
            "read_bias": self.read_bias,
            "bias": self.bias,
            "foreign": self.foreign,
        }
        for key, matrix in (("read", self.read), ("out", self.out), ("mean", self.mean)):
            scale = np.maximum(np.abs(matrix).max(axis=0), 1e-9) / _INT8_MAX
            arrays |= {key: np.rint(matrix / scale).astype(np.int8), f"{key}_scale": scale.astype(np.float32)}
        np.savez_compressed(path, allow_pickle=False, **arrays)

    def scores(self, embedding: Embedding | None, english: float) -> FloatArray:
        """The score of each class; zeros if `embedding` lacks token states of the width that the model expects.

        english: share of English in the text, 0-1. It weighs the text's scores against the fixed scores of foreign
        texts.
        """
        states = None if embedding is None else embedding.states
        if states is None or not len(states) or states.shape[1] != len(self.read):
            return np.zeros(len(self.classes), dtype=np.float32)
        tokens = states.astype(np.float32)
        seen = tokens @ self.read + self.read_bias
        weights = np.exp(seen[:, : self.queries] - seen[:, : self.queries].max(axis=0))
        weights /= weights.sum(axis=0)
        values = np.tanh(seen[:, self.queries :]).reshape(len(tokens), self.queries, -1)
        pooled = np.einsum("tq,tqv->qv", weights, values).ravel()
        scores = pooled @ self.out + tokens.mean(axis=0) @ self.mean + self.bias
        weighed: FloatArray = english * scores + (1 - english) * self.foreign
        return weighed
