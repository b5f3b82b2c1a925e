"""Trains the model that finds a task's due time among the times in a text, and measures it on unseen authors.

    python -m benchmarks.training.due --data ../shared/data/behaviour [--save]

Labelled texts come from tests/data/training/due.jsonl, and from due.jsonl and due_e.jsonl in the `--data` folder.
--save trains on all texts and writes weights.json to ingest/screening/due. Needs scikit-learn.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
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


@dataclass(frozen=True, slots=True)
class Figures:
    """Quality of a model. exact: share of due times found. none: share of texts without due time that get none."""

    exact: float
    none: float


def example(row: Mapping[str, Any]) -> Example:
    """The example for `row`: a text read at `now` in zone `tz`, and its due time (`day_only`: any time of that day)."""
    zone = ZoneInfo(row["tz"])
    reader = reader_of(row["text"], datetime.fromisoformat(row["now"]).replace(tzinfo=zone), zone)
    mentions, right = [], []
    for mention, features in candidates(reader):
        mentions.append(features)
        right.append(row["due"] is not None and _is_right(reader.instant_of(mention), row, zone))
    return Example(mentions, right, row["due"] is not None)


def _is_right(at: datetime, row: Mapping[str, Any], zone: ZoneInfo) -> bool:
    due = datetime.fromisoformat(row["due"])
    if row.get("day_only"):
        return at.astimezone(zone).date() == due.astimezone(zone).date()
    return abs((at - due.astimezone(UTC)).total_seconds()) < 60


def fit(examples: Sequence[Example]) -> Mapping[str, float]:
    """Train a logistic regression. Returns the weight of each feature by name, with the intercept as "bias"."""
    vectorizer = DictVectorizer()
    rows = vectorizer.fit_transform([features for each in examples for features in each.mentions])
    model = LogisticRegression(C=_REGULARISATION, max_iter=2_000)
    model.fit(rows, [right for each in examples for right in each.right])
    names = (str(name) for name in vectorizer.get_feature_names_out())
    weights = {name: round(float(weight), 3) for name, weight in zip(names, model.coef_[0], strict=True)}
    return {"bias": round(float(model.intercept_[0]), 3)} | weights


def measure(examples: Sequence[Example], weights: Mapping[str, float]) -> Figures:
    """Measure how often a model with these weights finds a text's due time, or none where the text has none."""
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
    return Figures(sum(exact) / len(exact), sum(none) / len(none))


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
    for name, examples in sets.items():
        others = [other for other in sets if other != name]
        for used in ([other] for other in others):
            _print(used, name, measure(examples, fit([each for other in used for each in sets[other]])))
        _print(others, name, measure(examples, fit([each for other in others for each in sets[other]])))
    weights = fit([each for examples in sets.values() for each in examples])
    for name, examples in sets.items():
        _print(list(sets), name, measure(examples, weights))
    if arguments.save:
        WEIGHTS.write_text(json.dumps(weights, indent=1) + "\n", encoding="utf-8")


def _print(used: Sequence[str], name: str, figures: Figures) -> None:
    print(f"| {', '.join(used)} | {name} | {figures.exact:.3f} | {figures.none:.3f} |")


if __name__ == "__main__":
    main()
