"""Trains the model that says what a query asks for, such as tasks or a how-to, and prints its
quality.

    python -m benchmarks.training.wishes [--save]

Learns from tests/data/training/wishes.jsonl. --save writes retrieval/query/wishes.npz. Needs
scikit-learn.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import classification_report

from benchmarks.training.embedding import embeddings_of, trained_on
from memtypes.linear_model import LinearModel
from retrieval.query.intent import features

ROOT = Path(__file__).parents[2]
STRENGTH = 4.0
"""Inverse of the L2 penalty. Above 4, the model does better on its training texts, but hardly on
unseen authors.
"""


def main() -> None:
    """Print the model's accuracy on queries of unseen authors and on its training queries. --save
    writes the model.
    """
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--save", action="store_true")
    rows = [
        json.loads(line)
        for line in (ROOT / "tests/data/training/wishes.jsonl").open(encoding="utf-8")
    ]
    queries = [row["text"] for row in rows]
    embeddings = embeddings_of(queries, queries=True)
    inputs = np.stack([features(query, embeddings[query].dense) for query in queries])
    wishes = np.array([row["wish"] for row in rows])
    authors = np.array([row["author"] for row in rows])
    model = LogisticRegression(C=STRENGTH, class_weight="balanced", max_iter=2_000)
    guesses = wishes.copy()
    for author in sorted(set(authors)):
        held_out = authors == author
        guesses[held_out] = model.fit(inputs[~held_out], wishes[~held_out]).predict(
            inputs[held_out]
        )
        print(f"author {author}: {np.mean(guesses[held_out] == wishes[held_out]):.3f}")
    print(classification_report(wishes, guesses, digits=3))
    print(f"seen texts: {model.fit(inputs, wishes).score(inputs, wishes):.3f}")
    if parser.parse_args().save:
        stored = LinearModel(
            tuple(model.classes_),
            model.coef_.astype(np.float32),
            model.intercept_.astype(np.float32),
            trained_on(),
        )
        stored.save(ROOT / "retrieval/query/wishes.npz")


if __name__ == "__main__":
    main()
