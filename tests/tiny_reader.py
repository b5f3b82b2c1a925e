"""A reader of random weights, built in a moment: it behaves like the real one and knows nothing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from memtypes.encoders.prepared import TOKENIZER_FILE
from memtypes.encoders.reader import (
    ACTS_FILE,
    ANSWERS_FILE,
    OLDER_TOKENS,
    READER,
    ReaderManifest,
)
from memtypes.encoders.setup.reader_graph import build_acts, build_answers
from memtypes.ports.reader import Act

WIDTH = 64
VOCABULARY = 30_522
TOKENS = 64


def tiny_weights(layers: int = 2) -> dict[str, NDArray[np.float32]]:
    """Random weights of a BERT model with a pooler, always the same."""
    random = np.random.default_rng(7)

    def matrix(*shape: int) -> NDArray[np.float32]:
        return random.normal(0, 0.2, shape).astype(np.float32)

    weights = {
        "embeddings.word_embeddings.weight": matrix(VOCABULARY, WIDTH),
        "embeddings.position_embeddings.weight": matrix(2 * TOKENS, WIDTH),
        "embeddings.token_type_embeddings.weight": matrix(2, WIDTH),
        "pooler.dense.weight": matrix(WIDTH, WIDTH),
        "pooler.dense.bias": matrix(WIDTH),
        "classifier.weight": 3 * matrix(1, WIDTH),
        "classifier.bias": matrix(1),
    }
    norms = ["embeddings.LayerNorm"]
    for layer in range(layers):
        key = f"encoder.layer.{layer}"
        shapes = {
            **{f"attention.self.{name}": (WIDTH, WIDTH) for name in ("query", "key", "value")},
            "attention.output.dense": (WIDTH, WIDTH),
            "intermediate.dense": (2 * WIDTH, WIDTH),
            "output.dense": (WIDTH, 2 * WIDTH),
        }
        for name, shape in shapes.items():
            weights[f"{key}.{name}.weight"] = matrix(*shape)
            weights[f"{key}.{name}.bias"] = matrix(shape[0])
        norms += [f"{key}.attention.output.LayerNorm", f"{key}.output.LayerNorm"]
    for norm in norms:
        weights[f"{norm}.weight"] = np.ones(WIDTH, np.float32)
        weights[f"{norm}.bias"] = np.zeros(WIDTH, np.float32)
    return weights


def tiny_head(acts: int = len(Act)) -> dict[str, NDArray[np.float32]]:
    """A random head for acts."""
    random = np.random.default_rng(8)
    return {
        "head.weight": random.normal(0, 0.2, (acts, 2 * WIDTH)).astype(np.float32),
        "head.bias": np.zeros(acts, np.float32),
    }


def write_tiny_reader(directory: Path, tokenizer: Path, *, acts: bool = True) -> Path:
    """Write a reader of random weights to `directory`; return it. tokenizer: file of any BERT
    tokenizer. acts: whether it judges acts.
    """
    weights = tiny_weights()
    models = {ANSWERS_FILE: build_answers(weights, 1.0, 0.0, int8=True)}
    if acts:
        models[ACTS_FILE] = build_acts(weights, tiny_head(), int8=True)
    files = {name: model.SerializeToString() for name, model in models.items()}
    manifest = ReaderManifest(
        fingerprint="tiny-reader",
        max_tokens=TOKENS,
        files={},
        acts=tuple(Act) if acts else (),
        acts_tokens=TOKENS + OLDER_TOKENS if acts else 0,
    )
    READER.write(directory, {**files, TOKENIZER_FILE: tokenizer.read_bytes()}, manifest)
    return directory
