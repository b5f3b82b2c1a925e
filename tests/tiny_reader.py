"""A reader of random weights, built in a moment: it behaves like the real one and knows nothing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from memtypes.encoders.prepared import TOKENIZER_FILE
from memtypes.encoders.reader import (
    ANSWERS_FILE,
    READER,
    STATEMENTS_FILE,
    ReaderManifest,
)
from memtypes.encoders.setup.prepare_reader import RECIPE
from memtypes.encoders.setup.reader_graph import answers_graph, statements_graph
from memtypes.model.policy import MemoryType
from memtypes.ports.reader import Act

WIDTH = 64
VOCABULARY = 30_522
TOKENS = 64
KINDS = tuple(kind for kind in MemoryType if kind is not MemoryType.WORKING)


def tiny_weights(layers: int = 2) -> dict[str, NDArray[np.float32]]:
    """Random weights of a BERT model with a pooler, always the same."""
    random = np.random.default_rng(7)

    def matrix(*shape: int) -> NDArray[np.float32]:
        return random.normal(0, 0.2, shape).astype(np.float32)

    weights = {
        "embeddings.word_embeddings.weight": matrix(VOCABULARY, WIDTH),
        "embeddings.position_embeddings.weight": matrix(TOKENS, WIDTH),
        "embeddings.token_type_embeddings.weight": matrix(2, WIDTH),
        "pooler.dense.weight": matrix(WIDTH, WIDTH),
        "pooler.dense.bias": matrix(WIDTH),
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


def tiny_heads() -> dict[str, NDArray[np.float32]]:
    """Random heads for answers, acts and kinds."""
    random = np.random.default_rng(8)
    return {
        "answers.weight": random.normal(0, 0.5, (1, WIDTH)).astype(np.float32),
        "answers.bias": np.zeros(1, np.float32),
        "acts.weight": random.normal(0, 0.5, (len(Act), 2 * WIDTH)).astype(np.float32),
        "acts.bias": np.zeros(len(Act), np.float32),
        "kinds.weight": random.normal(0, 0.5, (len(KINDS), 2 * WIDTH)).astype(np.float32),
        "kinds.bias": np.zeros(len(KINDS), np.float32),
    }


def write_tiny_reader(directory: Path, tokenizer: Path) -> Path:
    """Write a reader of random weights to `directory`; return it. tokenizer: file of any BERT
    tokenizer.
    """
    weights = tiny_weights() | tiny_heads()
    files = {
        ANSWERS_FILE: answers_graph(weights, int8=True).SerializeToString(),
        STATEMENTS_FILE: statements_graph(weights, int8=True).SerializeToString(),
        TOKENIZER_FILE: tokenizer.read_bytes(),
    }
    manifest = ReaderManifest(
        fingerprint="tiny-reader",
        max_tokens=TOKENS,
        files={},
        recipe=RECIPE,
        acts=tuple(Act),
        kinds=KINDS,
    )
    READER.write(directory, files, manifest)
    return directory
