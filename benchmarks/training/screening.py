"""Trains the screening models on the texts of this repository, and prints their quality on texts of
other authors.

    python -m benchmarks.training.screening [--data ../shared/data/behaviour] [--unseen AUTHOR ...]
        [--save MODEL ...]

The models judge a text's memory type, its importance and whether to keep it, and what a captured
text states. They learn from types.jsonl, conversations.jsonl and importance.jsonl in
tests/data/training; what a text states, also from the scenes in `statements` there. They are
measured on types*.jsonl and capture*.jsonl in the `--data` folder, and on the scenes of the authors
that --unseen names, which are not learnt from. --save writes the named models to ingest/screening,
and measures them with the other models that are shipped; with --save statements nothing else is
trained, nor with --save importance. "kinds" are the scores of memory types in the model "states".
Needs scikit-learn and torch.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.linear_model import LogisticRegression

from benchmarks.training.attention import Target, fit_attention, with_kinds
from benchmarks.training.embedding import embeddings_of, trained_on
from benchmarks.training.scenes import TYPES, authors, scenes_by
from ingest.screening.judge import (
    ALONE,
    BY_MACHINE,
    BY_PERSON,
    TRIVIAL,
    WORTH_KEEPING,
    Judge,
    MessagePosition,
    typing_features,
)
from ingest.screening.prefilter import stated_by
from ingest.screening.text_features import AHEAD, Conversation, Later, is_machine, read, words_of
from memtypes.linear_model import FloatArray, LinearModel, from_binary
from memtypes.model.policy import MemoryType
from memtypes.ports.reader import Act
from memtypes.search.vectors import Embedding

ROOT = Path(__file__).parents[2]
TEXTS = ROOT / "tests" / "data" / "training"
OURS = "ours"
KINDS = sorted(MemoryType)
CLASSES = (*KINDS, ALONE, BY_PERSON, BY_MACHINE)
STATEMENTS = "statements"
MODELS = ("types", "first", "worth", "importance", "states", "kinds", STATEMENTS)
READ_VECTORS = ("worth", "states", "statement_states")
"""The models that read vectors of the encoder: cosines of messages, and token states."""

ENDS = frozenset((Act.DONE, Act.CANCELLED, Act.MOVES, Act.REOPENS, Act.REPLACES, Act.WRONG))
"""What a text of a scene does to earlier statements that makes it worth keeping."""

NETWORKS = 3
"""Number of attention models, of different seeds, whose mean scores memory types."""

TYPES_STRENGTH = 0.1
STATEMENTS_STRENGTH = 0.2
FIRST_STRENGTH = 0.2
WORTH_STRENGTH = 0.2
IMPORTANCE_STRENGTH = 0.1
"""Inverses of the L2 penalty. Values of 0.1 to 0.5 make little difference on other authors."""

MAYBE_HIGH = 0.35
"""Probability of high importance from which a text worth keeping is no example of medium
importance.
"""

COURTESY = 12
"""Maximum words of an agent's message that is a mere courtesy. Longer ones may be worth keeping
without a context.
"""


@dataclass(frozen=True, slots=True, eq=False)
class Example:
    """Features of a text, and its correct labels. Predicting any one of them counts as correct."""

    features: FloatArray
    labels: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Message:
    """A labelled message of a conversation. keep: whether it is worth keeping; None if both answers
    are correct.

    types: its correct memory types; empty if it is not worth keeping or has no type labels.
    """

    role: str
    text: str
    keep: bool | None
    types: tuple[str, ...]


def casual(text: str) -> str:
    """`text` as typed in a hurry: without a capital and a period."""
    return text[:1].lower() + text[1:].removesuffix(".")


def rows_of(path: Path) -> list[dict[str, Any]]:
    """The parsed lines of a JSON Lines file."""
    return [json.loads(line) for line in path.read_text("utf-8").splitlines() if line.strip()]


def type_rows(folder: Path | None) -> Iterator[tuple[str, str, tuple[str, ...], str]]:
    """Yield (author, language, memory types, text) of each labelled text in this repository and, if
    given, `folder`.
    """
    for row in rows_of(TEXTS / "types.jsonl"):
        yield OURS, row["lang"], (row["type"],), row["text"]
    for path in sorted(folder.glob("types*.jsonl")) if folder else ():
        for row in rows_of(path):
            yield path.stem, row.get("lang", "en"), tuple(row["types"]), row["text"]


def conversations(folder: Path | None) -> Iterator[tuple[str, str, list[Message]]]:
    """Yield (author, language, messages) of each labelled conversation in this repository and, if
    given, `folder`.
    """
    for row in rows_of(TEXTS / "conversations.jsonl"):
        messages = [
            Message(
                turn["role"],
                turn["content"],
                turn["keep"],
                tuple(turn.get("types", ()) if turn["keep"] else ()),
            )
            for turn in row["messages"]
        ]
        yield OURS, row["lang"], messages
    for path in sorted(folder.glob("capture*.jsonl")) if folder else ():
        for row in rows_of(path):
            labels = {
                label["index"]: (label["keep"], tuple(label["types"])) for label in row["labels"]
            }
            messages = [
                Message(message["role"], message["content"], *labels.get(index, (None, ())))
                for index, message in enumerate(row["messages"])
            ]
            yield path.stem, row.get("lang", "en"), messages


@dataclass(frozen=True, slots=True)
class Talk:
    """The texts of a scene. stored: its earlier statements, each of one memory type. later: what is
    said later, and what it answers, as one conversation.
    """

    author: str
    language: str
    stored: list[Message]
    later: list[Message]

    @property
    def texts(self) -> list[str]:
        """All texts of the scene."""
        return [message.text for message in (*self.stored, *self.later)]


def talks() -> Iterator[Talk]:
    """Yield the scenes of all authors in this repository.

    A later text is noise if it states nothing and leaves earlier statements as they are.
    """
    for scene in (scene for author in authors() for scene in scenes_by(author)):
        stored: list[Message] = []
        later: list[Message] = []
        for text in scene.texts:
            role = _role(text.speaker)
            if not text.is_later:
                stored.append(Message(role, text.text, True, text.kinds))
                continue
            if text.before:
                asking = "user" if is_machine(role) else "assistant"
                later.append(Message(asking, text.before, None, ()))
            acts = set(text.does.values())
            keep = True if text.kinds or acts & ENDS else None if acts else False
            later.append(Message(role, text.text, keep, text.kinds))
        yield Talk(scene.author, scene.language, stored, later)


def _role(speaker: str) -> str:
    """The role of a scene's speaker, who is the user, the agent or a person with a name."""
    return "assistant" if speaker == "agent" else "user"


@dataclass(frozen=True, slots=True)
class Examples:
    """Training examples for the screening models, a list for each model. embeddings: of each text,
    by text.
    """

    embeddings: dict[str, Embedding]
    types: list[Example] = field(default_factory=list)
    first: list[Example] = field(default_factory=list)
    worth: list[Example] = field(default_factory=list)
    targets: list[Target] = field(default_factory=list)
    statements: list[Example] = field(default_factory=list)
    statement_targets: list[Target] = field(default_factory=list)

    def add_all(self) -> None:
        """Add the texts and conversations of this repository."""
        for _, _, labels, text in type_rows(None):
            self.add_typed(text, labels)
        for _, _, messages in conversations(None):
            self.add_conversation(messages)

    def add_typed(self, text: str, labels: tuple[str, ...]) -> None:
        """Add a text with its memory types. Unless one is working memory, it is also an example
        worth keeping.
        """
        self.types.append(Example(typing_features(read(text).features), labels))
        self._add_alone(text, labels, keep=None if MemoryType.WORKING in labels else True)

    def add_conversation(self, messages: Sequence[Message]) -> None:
        """Add each labelled message, both with and without the messages before it.

        Noise is also added as a text without a conversation, except long agent messages, which may
        then be worth it.
        """
        for message, position in positions_of(messages, self.embeddings):
            text = message.text
            keep = message.keep
            reading = read(message.text)
            machine = is_machine(message.role)
            if keep is None:
                continue
            # A conversation may begin anywhere
            for variant in (position, replace(position, before=Conversation())):
                if not variant.is_alone:
                    features = variant.features(reading.features, text, self.embeddings[text])
                    self.worth.append(Example(features, ("keep" if keep else "noise",)))
            answers = {BY_MACHINE if machine else BY_PERSON: keep}
            if message.types:
                self.types.append(
                    Example(typing_features(reading.features, message.role), message.types)
                )
            if position.is_alone:
                self._add_alone(text, message.types, keep=keep)
                continue
            if not keep and _is_noise_alone(message):
                self.first.append(Example(reading.features, ("noise",)))
                answers[ALONE] = False
            self._add_target(text, message.types, answers)

    def add_statements(self, talks_to_learn: Iterable[Talk]) -> None:
        """Add what the texts of this repository and of these scenes state.

        Texts whose labels do not say what they state are left out.
        """
        for _, _, labels, text in type_rows(None):
            self._add_stated(Message("user", text, True, labels))
        for _, _, messages in conversations(None):
            for message in messages:
                self._add_stated(message)
        for scene in talks_to_learn:
            for message in (*scene.stored, *scene.later):
                self._add_stated(message)

    def _add_stated(self, message: Message) -> None:
        if not message.types:
            return
        reading = read(message.text)
        features = typing_features(reading.features, message.role)
        self.statements.append(Example(features, message.types))
        states = self.embeddings[message.text].states
        if states is not None:
            shares = _shares(message.types)
            self.statement_targets.append(Target(states, reading.english, shares, {}))

    def _add_alone(self, text: str, labels: tuple[str, ...], *, keep: bool | None) -> None:
        for variant in dict.fromkeys((text, casual(text))):
            if keep is not None:
                self.first.append(Example(read(variant).features, ("keep" if keep else "noise",)))
            self._add_target(variant, labels, {} if keep is None else {ALONE: keep})

    def _add_target(self, text: str, labels: tuple[str, ...], answers: dict[str, bool]) -> None:
        shares = _shares(labels)
        answers_by_class = {CLASSES.index(name): yes for name, yes in answers.items()}
        if (states := self.embeddings[text].states) is not None:
            self.targets.append(Target(states, read(text).english, shares, answers_by_class))


def _shares(labels: tuple[str, ...]) -> FloatArray:
    """The share of each memory type in a text with these labels."""
    return np.array([(kind in labels) / max(1, len(labels)) for kind in KINDS], dtype=np.float32)


def positions_of(
    messages: Sequence[Message], embeddings: dict[str, Embedding]
) -> Iterator[tuple[Message, MessagePosition]]:
    """Yield each message with its position: its role, and the messages around it. embeddings: by
    text.
    """
    previous = Conversation()
    median_length = statistics.median(len(message.text) for message in messages)
    for index, message in enumerate(messages):
        following = [(later.role, later.text) for later in messages[index + 1 : index + 1 + AHEAD]]
        yield (
            message,
            MessagePosition(
                message.role, previous, Later(following, len(messages) - index - 1, median_length)
            ),
        )
        previous.add(message.role, message.text, embeddings[message.text])


def fit(examples: Sequence[Example], strength: float, *, balanced: bool = False) -> LinearModel:
    """A linear classifier. strength: inverse L2 penalty. balanced: whether all classes have the
    same total weight.
    """
    rows = [
        (example.features, label, 1 / len(example.labels))
        for example in examples
        for label in example.labels
    ]
    features, labels, weights = (list(column) for column in zip(*rows, strict=True))
    model = LogisticRegression(
        C=strength, max_iter=1_000, tol=1e-3, class_weight="balanced" if balanced else None
    )
    model.fit(np.stack(features), labels, sample_weight=weights)
    classes = [str(name) for name in model.classes_]
    if len(classes) == 2:
        return from_binary(classes, model.coef_[0].astype(np.float32), float(model.intercept_[0]))
    return LinearModel(
        tuple(classes), model.coef_.astype(np.float32), model.intercept_.astype(np.float32)
    )


def train(examples: Examples, shipped: Judge, *, keep_worth: bool = False) -> Judge:
    """`shipped` with all models trained anew on `examples`, but those of statements and importance.

    keep_worth: whether the attention model keeps its scores for what is worth keeping.
    """
    networks = [
        fit_attention(CLASSES, len(KINDS), examples.targets, seed) for seed in range(NETWORKS)
    ]
    worth = shipped.states if keep_worth else networks[0]
    return replace(
        shipped,
        types=fit(examples.types, TYPES_STRENGTH),
        first=fit(examples.first, FIRST_STRENGTH),
        worth=fit(examples.worth, WORTH_STRENGTH, balanced=True),
        states=with_kinds(worth, networks, len(KINDS)),
    )


def train_importance(shipped: Judge) -> Judge:
    """`shipped` with the model of importance trained on importance.jsonl, and on the other texts of
    this repository: noise is of low importance, what is worth keeping of medium importance unless
    it reads like texts of high importance.
    """
    rated = [
        Example(read(row["text"]).features, (row["importance"],))
        for row in rows_of(TEXTS / "importance.jsonl")
    ]
    by_ratings = fit(rated, IMPORTANCE_STRENGTH)
    kept = [text for *_, labels, text in type_rows(None) if MemoryType.WORKING not in labels]
    noise: list[str] = []
    for _, _, messages in conversations(None):
        for message in messages:
            if message.keep:
                kept.append(message.text)
            elif message.keep is False and _is_noise_alone(message):
                noise.append(message.text)
    kept_features = np.stack([read(text).features for text in kept])
    high = by_ratings.probabilities(kept_features)[:, by_ratings.classes.index("high")]
    medium = kept_features[high < MAYBE_HIGH]
    examples = [*rated, *(Example(features, ("medium",)) for features in medium)]
    examples += [Example(read(text).features, ("low",)) for text in noise]
    return replace(shipped, importance=fit(examples, IMPORTANCE_STRENGTH, balanced=True))


def _is_noise_alone(message: Message) -> bool:
    """Whether a message that is noise in its conversation is noise by itself, too."""
    return not is_machine(message.role) or len(words_of(message.text)) <= COURTESY


def train_statements(examples: Examples, shipped: Judge) -> Judge:
    """`shipped` with the models of what a text states trained on `examples`."""
    return replace(
        shipped,
        statements=fit(examples.statements, STATEMENTS_STRENGTH),
        statement_states=fit_attention(KINDS, len(KINDS), examples.statement_targets),
    )


def type_report(judge: Judge, folder: Path, embeddings: dict[str, Embedding]) -> Iterator[str]:
    """Yield a line for each author and language: the share of texts whose memory type is predicted
    correctly.
    """
    correct: defaultdict[tuple[str, str], list[bool]] = defaultdict(list)
    for author, language, labels, text in type_rows(folder):
        kinds = judge.kinds(judge.input_of(text, embeddings[text]))
        group = author, "English" if language == "en" else "other languages"
        correct[group].append(max(kinds, key=kinds.__getitem__) in labels)
    for (author, name), hits in sorted(correct.items()):
        yield f"{author}, {name}: type right {np.mean(hits):.3f} of {len(hits)}"


def worth_report(judge: Judge, folder: Path, embeddings: dict[str, Embedding]) -> Iterator[str]:
    """Yield lines by author: share of useful messages kept, of noise dropped, of memory types
    predicted correctly.
    """
    worths: defaultdict[str, list[tuple[bool, float]]] = defaultdict(list)
    correct: defaultdict[str, list[bool]] = defaultdict(list)
    for author, _, messages in conversations(folder):
        for message, position in positions_of(messages, embeddings):
            if message.keep is None:
                continue
            model_input = judge.input_of(message.text, embeddings[message.text])
            worths[author].append((message.keep, judge.judged(model_input, position).worth))
            if message.keep and message.types:
                kinds = judge.kinds(model_input, message.role)
                del kinds[MemoryType.WORKING]
                correct[author].append(max(kinds, key=kinds.__getitem__) in message.types)
    worths["all but ours"] = [
        pair for author, pairs in worths.items() if author != OURS for pair in pairs
    ]
    for author, pairs in sorted(worths.items()):
        useful, noise = (
            np.array([worth for is_useful, worth in pairs if is_useful is keep])
            for keep in (True, False)
        )
        for bound in (TRIVIAL, WORTH_KEEPING, float(np.quantile(useful, 0.07))):
            kept = np.mean(useful >= bound)
            dropped = np.mean(noise < bound)
            yield f"{author}, worth from {bound:.2f}: kept {kept:.3f}, noise dropped {dropped:.3f}"
    for author, hits in sorted(correct.items()):
        yield f"{author}, messages: type right {np.mean(hits):.3f} of {len(hits)}"


def scene_report(
    judge: Judge, unseen: Sequence[Talk], embeddings: dict[str, Embedding]
) -> Iterator[str]:
    """Yield lines about what the texts of scenes state: macro F1 of stored statements, facts taken
    for tasks and tasks for facts, and of each statement in later texts, precision and recall.
    """
    stored = [message for scene in unseen for message in scene.stored]
    later = [message for scene in unseen for message in scene.later if message.keep is not None]

    def stated(message: Message) -> MemoryType:
        model_input = judge.input_of(message.text, embeddings[message.text])
        return stated_by(judge.stated(model_input, message.role))

    labels = [(message.types[0], stated(message)) for message in stored]
    scores: list[float] = []
    for kind in TYPES.values():
        hits = sum(right == kind and found == kind for right, found in labels)
        total = sum((right == kind) + (found == kind) for right, found in labels)
        scores.append(2 * hits / max(1, total))
    by_type = ", ".join(
        f"{kind} {score:.3f}" for kind, score in zip(TYPES.values(), scores, strict=True)
    )
    yield f"scenes, stored: macro F1 {np.mean(scores):.3f} of {len(labels)} ({by_type})"
    for own, wrong in (("semantic", "prospective"), ("prospective", "semantic")):
        taken = [found for label, found in labels if label == own]
        share = taken.count(MemoryType(wrong)) / max(1, len(taken))
        yield f"scenes, stored: {own} taken for {wrong} {share:.3f}"
    told = [(message.types, stated(message)) for message in later]
    for name in ("prospective", "semantic"):
        said = [name in types for types, found in told if found == name]
        wanted = [found == name for types, found in told if name in types]
        yield (
            f"scenes, later: {name} precision {np.mean(said):.3f}, recall {np.mean(wanted):.3f} "
            f"of {len(wanted)}"
        )


def main() -> None:
    """Train the screening models. --data prints their quality on other authors' texts; --save
    writes those named.
    """
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path)
    parser.add_argument("--unseen", nargs="+", default=())
    parser.add_argument("--save", nargs="+", choices=MODELS, default=())
    options = parser.parse_args()
    if set(options.save) == {"importance"}:
        save(train_importance(Judge.shipped()), options.save)
        return
    told = list(talks())
    unseen = [scene for scene in told if scene.author in options.unseen]
    texts = [text for *_, text in type_rows(options.data)]
    texts += [message.text for *_, messages in conversations(options.data) for message in messages]
    texts += [text for scene in told for text in scene.texts]
    examples = Examples(embeddings_of([*texts, *map(casual, texts)]))
    examples.add_statements(scene for scene in told if scene.author not in options.unseen)
    shipped = replace(Judge.shipped(), knows_encoder=True)
    judge = train_statements(examples, shipped)
    if set(options.save) != {STATEMENTS}:
        examples.add_all()
        judge = train(examples, train_importance(judge), keep_worth="kinds" in options.save)
    names = _fields(options.save)
    if names:
        judge = replace(shipped, **{name: getattr(judge, name) for name in names})
    if options.data:
        for report in (type_report, worth_report):
            print("\n".join(report(judge, options.data, examples.embeddings)))
    if unseen:
        print("\n".join(scene_report(judge, unseen, examples.embeddings)))
    save(judge, names)


def save(judge: Judge, names: Iterable[str]) -> None:
    """Write the models of `judge` in the fields `names` to ingest/screening."""
    for name in names:
        model = getattr(judge, name)
        if name in READ_VECTORS:
            model = replace(model, encoders=trained_on())
        model.save(ROOT / "ingest" / "screening" / f"{name}.npz")


def _fields(models: Iterable[str]) -> set[str]:
    """The fields of the judge that have the named models."""
    names = {"states" if name == "kinds" else name for name in models}
    return names | {"statement_states"} if STATEMENTS in names else names


if __name__ == "__main__":
    main()
