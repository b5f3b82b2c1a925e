"""Trains the model that finds a task's due time among the times in a text, and measures it on
unseen authors.

    python -m benchmarks.training.due --data ../shared/data/behaviour [--save]

Labelled texts come from tests/data/training/due.jsonl, and from due.jsonl and due_e.jsonl in the
`--data` folder. --save trains on all texts and writes weights.json to ingest/screening/due. Needs
scikit-learn.
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
"""Inverse of the L2 penalty. Values of 0.3 to 3 differ by 0.02 on unseen authors."""


@dataclass(frozen=True, slots=True)
class Example:
    """The times in a text. mentions: features of each. correct: whether each is the due time, if
    the text has one.
    """

    mentions: Sequence[Mapping[str, float]]
    correct: Sequence[bool]
    has_due_time: bool


def example(row: Mapping[str, Any]) -> Example:
    """The example for a labelled row.

    text, now, tz: a text, and the time and zone of its author. due: its due time; if `day_only`,
    any time of that day.
    """
    zone = ZoneInfo(row["tz"])
    reader = reader_of(row["text"], datetime.fromisoformat(row["now"]).replace(tzinfo=zone), zone)
    due_at = datetime.fromisoformat(row["due"]) if row["due"] else None
    mentions = []
    correct = []
    for mention, features in candidates(reader):
        mentions.append(features)
        instant = reader.instant_of(mention)
        same_day = (
            due_at is not None and instant.astimezone(zone).date() == due_at.astimezone(zone).date()
        )
        same_minute = due_at is not None and abs(instant - due_at) < timedelta(minutes=1)
        correct.append(same_day if row.get("day_only") else same_minute)
    return Example(mentions, correct, due_at is not None)


def fit(examples: Sequence[Example]) -> Mapping[str, float]:
    """Weights, by feature, of a logistic regression trained on `examples`, with the intercept as
    "bias".
    """
    vectorizer = DictVectorizer()
    rows = vectorizer.fit_transform(
        [features for example in examples for features in example.mentions]
    )
    model = LogisticRegression(C=_REGULARISATION, max_iter=2_000)
    model.fit(rows, [correct for example in examples for correct in example.correct])
    names = (str(name) for name in vectorizer.get_feature_names_out())
    weights = {
        name: round(float(weight), 3) for name, weight in zip(names, model.coef_[0], strict=True)
    }
    return {"bias": round(float(model.intercept_[0]), 3)} | weights


def measure(examples: Sequence[Example], weights: Mapping[str, float]) -> tuple[float, float]:
    """Share of the due times that a model with `weights` finds, and share of the texts without one
    that get none.
    """
    exact = []
    none = []
    for example in examples:
        sums = (
            sum(weights.get(name, 0) * value for name, value in m.items()) for m in example.mentions
        )
        scores = [weights["bias"] + weighted for weighted in sums]
        best = max(range(len(scores)), key=scores.__getitem__, default=None)
        chosen = best if best is not None and scores[best] > 0 else None
        if example.has_due_time:
            exact.append(chosen is not None and example.correct[chosen])
        else:
            none.append(chosen is None)
    return sum(exact) / len(exact), sum(none) / len(none)


def main() -> None:
    """Print the quality of models on texts of unseen authors. --save writes the weights trained on
    all texts.
    """
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--save", action="store_true")
    arguments = parser.parse_args()
    paths = [
        ROOT / "tests/data/training/due.jsonl",
        arguments.data / "due.jsonl",
        arguments.data / "due_e.jsonl",
    ]
    names = ("training", "due", "due_e")
    sets = {
        name: [example(json.loads(line)) for line in path.open()]
        for name, path in zip(names, paths, strict=True)
    }
    print("| trained on | measured on | exact | none |\n|---|---|---|---|")
    for size in (1, 2, 3):
        for training_sets in itertools.combinations(names, size):
            weights = fit([row for name in training_sets for row in sets[name]])
            for name in (
                names if training_sets == names else sorted(set(names).difference(training_sets))
            ):
                exact, none = measure(sets[name], weights)
                print(f"| {', '.join(training_sets)} | {name} | {exact:.3f} | {none:.3f} |")
    if arguments.save:  # the last weights: those of all texts
        WEIGHTS.write_text(json.dumps(weights, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
