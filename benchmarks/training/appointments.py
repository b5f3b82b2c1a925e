"""Trains the model that tells appointments from deadlines, and prints its quality.

    python -m benchmarks.training.appointments [--save]

Learns from tests/data/training/appointments.jsonl. --save writes
ingest/screening/due/appointments.npz. Needs scikit-learn.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
from sklearn.linear_model import LogisticRegression

from ingest.screening.due.appointments import APPOINTMENT, FILE, SURE
from ingest.screening.text_features import read
from memtypes.linear_model import from_binary

ROOT = Path(__file__).parents[2]


def main() -> None:
    """Print precision and recall on texts of unseen authors, by language. --save writes the model
    of all texts.
    """
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--save", action="store_true")
    lines = (ROOT / "tests/data/training/appointments.jsonl").open(encoding="utf-8")
    rows = [json.loads(line) for line in lines]
    inputs = np.stack([read(row["text"]).features for row in rows])
    kinds = np.array([row["kind"] for row in rows])
    languages = np.array([row["lang"] for row in rows])
    authors = np.array([row["author"] for row in rows])
    right = kinds == APPOINTMENT
    model = LogisticRegression(C=1.0, class_weight="balanced", max_iter=2_000)
    likely = np.zeros(len(rows))
    for author in sorted(set(authors)):
        unseen = authors == author
        model.fit(inputs[~unseen], right[~unseen])
        likely[unseen] = model.predict_proba(inputs[unseen])[:, 1]
    print("| texts of unseen authors | | precision | recall | deadlines that would lapse |")
    print("|---|---|---|---|---|")
    groups = {f"author {name}": authors == name for name in sorted(set(authors))}
    groups |= {f"in {name}": languages == name for name in sorted(set(languages))}
    groups["all"] = np.ones(len(rows), dtype=bool)
    for name, group in groups.items():
        taken = group & (likely >= SURE)
        precision = np.mean(right[taken])
        recall = np.mean(taken[group & right])
        wrong = np.mean(taken[group & (kinds == "deadline")])
        print(f"| {name} | {group.sum()} | {precision:.3f} | {recall:.3f} | {wrong:.3f} |")
    if parser.parse_args().save:
        model.fit(inputs, right)
        weights = model.coef_[0].astype(np.float32)
        stored = from_binary(("other", APPOINTMENT), weights, float(model.intercept_[0]))
        stored.save(ROOT / "ingest/screening/due" / FILE)


if __name__ == "__main__":
    main()
