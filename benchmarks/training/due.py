"""Trains the model that finds a task's due time among the times in a text, and measures it on unseen authors.

    python -m benchmarks.training.due --data ../shared/data/behaviour [--save]

Labelled texts come from tests/data/training/due.jsonl, and from due.jsonl and due_e.jsonl in the `--data` folder.
--save trains on all texts and writes weights.json to ingest/screening/due. Needs scikit-learn.
"""

from __future__ import annotations

import argparse
import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from sklearn.feature_extraction import DictVectorizer
from sklearn.linear_model import LogisticRegression

from ingest.screening.due.reading import candidates, reader_of

ROOT = Path(__file__).resolve().parents[2]
WEIGHTS = ROOT / "ingest/screening/due/weights.json"
_REGULARISATION = 0.7
"""C of the logistic regression. Values of 0.3 to 3 differ by 0.02 on unseen authors."""


@dataclass(frozen=True, slots=True)
class Example:
    """Times in a text. mentions: features of each. right: whether it is the due time. due: whether the text has one."""

    mentions: Sequence[Mapping[str, float]]
    right: Sequence[bool]
    due: bool


def example(row: Mapping[str, Any]) -> Example:
    """The example for `row`: a text read at `now` in zone `tz`, and its due time (`day_only`: any time of that day)."""
    zone = ZoneInfo(row["tz"])
    reader = reader_of(row["text"], datetime.fromisoformat(row["now"]).replace(tzinfo=zone), zone)
    due = datetime.fromisoformat(row["due"]) if row["due"] else None
    mentions, right = [], []
    for mention, features in candidates(reader):
        mentions.append(features)
        away = reader.instant_of(mention) - due if due else timedelta.max
        same_day = due is not None and reader.instant_of(mention).astimezone(zone).date() == due.astimezone(zone).date()
        right.append(same_day if row.get("day_only") else abs(away) < timedelta(minutes=1))
    return Example(mentions, right, due is not None)


def fit(examples: Sequence[Example]) -> Mapping[str, float]:
    """Train a logistic regression. Returns the weight of each feature by name, with the intercept as "bias"."""
    vectorizer = DictVectorizer()
    rows = vectorizer.fit_transform([features for each in examples for features in each.mentions])
    model = LogisticRegression(C=_REGULARISATION, max_iter=2_000)
    model.fit(rows, [right for each in examples for right in each.right])
    names = (str(name) for name in vectorizer.get_feature_names_out())
    weights = {name: round(float(weight), 3) for name, weight in zip(names, model.coef_[0], strict=True)}
    return {"bias": round(float(model.intercept_[0]), 3)} | weights


def measure(examples: Sequence[Example], weights: Mapping[str, float]) -> tuple[float, float]:
    """Share of due times that a model with these weights finds, and share of texts without one that get none."""
    exact, none = [], []
    for each in examples:
        scores = [
            weights["bias"] + sum(weights.get(name, 0) * value for name, value in m.items()) for m in each.mentions
        ]
        best = max(range(len(scores)), key=scores.__getitem__, default=None)
        chosen = best if best is not None and scores[best] > 0 else None
        if each.due:
            exact.append(chosen is not None and each.right[chosen])
        else:
            none.append(chosen is None)
    return sum(exact) / len(exact), sum(none) / len(none)


def main() -> None:
    """Print how well models find due times in texts of unseen authors. --save writes weights trained on all texts."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--save", action="store_true")
    arguments = parser.parse_args()
    paths = [ROOT / "tests/data/training/due.jsonl", arguments.data / "due.jsonl", arguments.data / "due_e.jsonl"]
    names = ("training", "due", "due_e")
    sets = {name: [example(json.loads(line)) for line in path.open()] for name, path in zip(names, paths, strict=True)}
    print("| trained on | measured on | exact | none |\n|---|---|---|---|")
    for size in (1, 2, 3):
        for used in itertools.combinations(names, size):
            weights = fit([each for name in used for each in sets[name]])
            for name in names if used == names else set(names).difference(used):
                exact, none = measure(sets[name], weights)
                print(f"| {', '.join(used)} | {name} | {exact:.3f} | {none:.3f} |")
    if arguments.save:  # the last weights: those of all texts
        WEIGHTS.write_text(json.dumps(weights, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
