"""Trains the models of screening on the texts of this repository, and prints how they do on those of other authors.

    python -m benchmarks.training.screening [--data ../shared/data/behaviour] [--save]

Trains on tests/data/training/{types,conversations,importance}.jsonl alone. --data: types*.jsonl and capture*.jsonl by
other authors, to measure on; the models never see them. --save writes the files beside `ingest.screening.judge`.
Needs scikit-learn.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import numpy as np
from sklearn.linear_model import LogisticRegression

from api.settings import read_settings
from api.wiring.resources import open_embedder
from ingest.screening.features import Conversation, text_features
from ingest.screening.judge import FIRST_FILE, IMPORTANCE_FILE, TRIVIAL, TYPES_FILE, WORTH_FILE, WORTH_KEEPING
from memtypes.linear_model import FloatArray, LinearModel, from_binary
from memtypes.search.vectors import Embedding

ROOT = Path(__file__).parents[2]
TEXTS = ROOT / "tests" / "data" / "training"
PACKAGE = ROOT / "ingest" / "screening"
OURS, PERSON = "ours", "user"

APART = 0.2
"""Weight of a text without the states of the encoder, which is there so that other encoders may be used."""

TYPES_STRENGTH, WORTH_STRENGTH, IMPORTANCE_STRENGTH = 0.1, 0.1, 0.1
"""Inverse of the L2 penalty: of 0.03, 0.1 and 0.3 it makes little difference on other authors."""


@dataclass(frozen=True, slots=True, eq=False)
class Example:
    """A labelled text. labels: any of them is right. features: what the model reads. weight: in training."""

    author: str
    language: str
    labels: tuple[str, ...]
    features: FloatArray
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class Message:
    """A labelled message. keep: whether it is worth keeping; None where both are right. types: of its memory."""

    role: str
    text: str
    keep: bool | None
    types: tuple[str, ...]


def casual(text: str) -> str:
    """`text` as typed in a hurry: without a capital and a period. Form alone must not tell what is worth keeping."""
    return text[:1].lower() + text[1:].removesuffix(".")


def rows_of(path: Path) -> list[dict[str, Any]]:
    """The parsed lines of a file."""
    return [json.loads(line) for line in path.read_text("utf-8").splitlines() if line.strip()]


def type_rows(data: Path | None) -> Iterator[tuple[str, str, tuple[str, ...], str]]:
    """Author, language, types and text of the texts with a type."""
    for row in rows_of(TEXTS / "types.jsonl"):
        yield OURS, row["lang"], (row["type"],), row["text"]
    for path in sorted(data.glob("types*.jsonl")) if data else ():
        for row in rows_of(path):
            yield path.stem, row.get("lang", "en"), tuple(row["types"]), row["text"]


def conversations(data: Path | None) -> Iterator[tuple[str, str, list[Message]]]:
    """Author, language and messages of the conversations."""
    for row in rows_of(TEXTS / "conversations.jsonl"):
        yield (
            OURS,
            row["lang"],
            [Message(m["role"], m["content"], m["keep"], tuple(m.get("types", ()))) for m in row["messages"]],
        )
    for path in sorted(data.glob("capture*.jsonl")) if data else ():
        for row in rows_of(path):
            labels = {label["index"]: (label["keep"], tuple(label["types"])) for label in row["labels"]}
            messages = [
                Message(message["role"], message["content"], *labels.get(index, (None, ())))
                for index, message in enumerate(row["messages"])
            ]
            yield path.stem, row.get("lang", "en"), messages


async def embeddings_of(texts: Sequence[str]) -> dict[str, Embedding]:
    """The embedding of each text by the default encoder."""
    embedder = await open_embedder(read_settings())
    try:
        distinct = list(dict.fromkeys(texts))
        batches = [distinct[start : start + 64] for start in range(0, len(distinct), 64)]
        embedded = [embedding for batch in batches for embedding in await embedder.embed_documents(batch)]
        return dict(zip(distinct, embedded, strict=True))
    finally:
        await embedder.aclose()


@dataclass(frozen=True, slots=True)
class TrainingSet:
    """The examples of the models."""

    types: list[Example]
    first: list[Example]
    worth: list[Example]
    importance: list[Example]

    @classmethod
    def read(cls, data: Path | None) -> TrainingSet:
        """The examples of this repository and of the folder `data`, embedded."""
        typed, talks = list(type_rows(data)), list(conversations(data))
        rated = rows_of(TEXTS / "importance.jsonl")
        texts = [text for *_, text in typed] + [row["text"] for row in rated]
        texts += [casual(text) for text in texts]
        said = [message.text for *_, messages in talks for message in messages]
        known = anyio.run(embeddings_of, [*texts, *said])
        types = [Example(who, lang, labels, text_features(text, known[text])) for who, lang, labels, text in typed]
        types += [
            Example(who, lang, labels, text_features(text, None), APART)
            for who, lang, labels, text in typed
            if who == OURS
        ]
        worth: list[Example] = []
        first = [
            Example(who, lang, ("keep",), Conversation().features(PERSON, written, states))
            for who, lang, labels, text in typed
            if who == OURS and labels != ("working",)
            for written in (text, casual(text))
            for states in (known[written], None)
        ]
        for author, language, messages in talks:
            before, bare = Conversation(), Conversation()
            for message in messages:
                embedding = known[message.text]
                features = before.features(message.role, message.text, embedding)
                stateless = bare.features(message.role, message.text, None)
                before.add(message.role, message.text, embedding)
                bare.add(message.role, message.text, None)
                if message.keep is not None:
                    labels = ("keep" if message.keep else "noise",)
                    worth.append(Example(author, language, labels, features))
                    worth += [Example(author, language, labels, stateless, APART)] if author == OURS else []
                if message.keep is False and author == OURS:
                    for states in (embedding, None):
                        alone = Conversation().features(message.role, message.text, states)
                        first.append(Example(author, language, ("noise",), alone))
                if message.keep:
                    types.append(Example(author, language, message.types, text_features(message.text, embedding)))
        importance = [
            Example(OURS, "", (row["importance"],), text_features(row["text"], known[row["text"]])) for row in rated
        ]
        return cls(types, first, worth, importance)


def fitted(examples: Sequence[Example], strength: float, *, balanced: bool = False) -> LinearModel:
    """A model of the examples; one with several labels counts in part for each."""
    rows = [
        (example.features, label, example.weight / len(example.labels))
        for example in examples
        for label in example.labels
    ]
    features, labels, weights = (list(column) for column in zip(*rows, strict=True))
    model = LogisticRegression(C=strength, max_iter=3_000, class_weight="balanced" if balanced else None)
    model.fit(np.stack(features), labels, sample_weight=weights)
    classes = [str(name) for name in model.classes_]
    if len(classes) == 2:
        return from_binary(classes, model.coef_[0].astype(np.float32), float(model.intercept_[0]))
    return LinearModel(tuple(classes), model.coef_.astype(np.float32), model.intercept_.astype(np.float32))


def report(examples: TrainingSet, types: LinearModel, worth: LinearModel) -> Iterator[str]:
    """Lines of the table: the models on other authors, which they have not seen."""
    judged = list(judged_by(types, examples.types))
    for author in sorted({example.author for example, _ in judged}):
        for name, foreign in (("English", False), ("other languages", True)):
            chosen = [(e, s) for e, s in judged if e.author == author and (e.language != "en") == foreign]
            lasting = [
                (e, {k: v for k, v in s.items() if k != "working" or author.startswith("types")}) for e, s in chosen
            ]
            right = [max(shares, key=shares.__getitem__) in example.labels for example, shares in lasting]
            if right:
                yield f"{author}, {name}: type right {np.mean(right):.3f} of {len(right)}"
    worths = [(example, shares["keep"]) for example, shares in judged_by(worth, examples.worth)]
    for author in sorted({example.author for example, _ in worths}):
        for bound in (TRIVIAL, WORTH_KEEPING):
            keep = np.array(
                [value for example, value in worths if example.author == author and example.labels == ("keep",)]
            )
            noise = np.array(
                [value for example, value in worths if example.author == author and example.labels != ("keep",)]
            )
            below = np.mean([value < bound for example, value in worths if example.author == author])
            yield (
                f"{author}, worth from {bound:g}: kept {np.mean(keep >= bound):.3f}, "
                f"noise dropped {np.mean(noise < bound):.3f}, of all dropped {below:.3f}"
            )
    rated = list(by_fifths(examples.importance))
    right = [max(shares, key=shares.__getitem__) in example.labels for example, shares in rated]
    yield f"importance, in fifths: level right {np.mean(right):.3f} of {len(right)}"


def judged_by(model: LinearModel, examples: Sequence[Example]) -> Iterator[tuple[Example, Mapping[str, float]]]:
    """Each example of another author with the probabilities of its classes."""
    for example in examples:
        if example.author != OURS:
            (row,) = model.probabilities(example.features[None])
            yield example, dict(zip(model.classes, map(float, row), strict=True))


def by_fifths(examples: Sequence[Example]) -> Iterator[tuple[Example, Mapping[str, float]]]:
    """Each example with the probabilities from a model trained on the other four fifths."""
    for fifth in range(5):
        model = fitted([e for at, e in enumerate(examples) if at % 5 != fifth], IMPORTANCE_STRENGTH)
        for example in examples[fifth::5]:
            (row,) = model.probabilities(example.features[None])
            yield example, dict(zip(model.classes, map(float, row), strict=True))


def main() -> None:
    """Print the figures, and with --save write the models."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--save", action="store_true")
    parsed = parser.parse_args()
    examples = TrainingSet.read(parsed.data)
    types = fitted([example for example in examples.types if example.author == OURS], TYPES_STRENGTH)
    worth = fitted([example for example in examples.worth if example.author == OURS], WORTH_STRENGTH, balanced=True)
    for line in report(examples, types, worth):
        print(line)
    if parsed.save:
        types.save(PACKAGE / TYPES_FILE)
        worth.save(PACKAGE / WORTH_FILE)
        fitted(examples.first, WORTH_STRENGTH, balanced=True).save(PACKAGE / FIRST_FILE)
        fitted(examples.importance, IMPORTANCE_STRENGTH).save(PACKAGE / IMPORTANCE_FILE)


if __name__ == "__main__":
    main()
