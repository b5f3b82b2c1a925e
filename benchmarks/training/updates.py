"""Trains the model that judges whether a statement changes an older one, and prints its quality on
unseen authors.

    python -m benchmarks.training.updates --data ../shared/data/behaviour [--save]

Pairs come from tests/data/training/updates.jsonl and updates*.jsonl in the `--data` folder, each
file by one author. --save trains on all pairs and writes updates.npz to ingest/identity. Needs
scikit-learn.
"""

from __future__ import annotations

import argparse
import itertools
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression

from benchmarks.training.embedding import embeddings_of
from ingest.identity.judgement import MODEL_FILE
from ingest.identity.update_evidence import Statement, features, has_same_form

ROOT = Path(__file__).parents[2]
TEXTS = ROOT / "tests" / "data" / "training" / "updates.jsonl"
TARGET = ROOT / "ingest" / "identity" / MODEL_FILE

TREES = 200
DEPTH = 3
MIN_TEXTS = 3
"""Minimum number of texts that contain a word or pair of words for it to get a weight."""

CROSS_PAIRS = 2
"""Number of similar statements of other examples with which each statement is paired, as
unrelated.
"""

MAX_CROSS_COSINE = 0.72
"""Cosine from which statements of different examples are not paired: they may be about the same
fact.
"""

FOLDS = 5
REPLACES = 0.5
CONTESTS = 0.36
"""Minimum probabilities that a statement changes an older one, to replace or contest it. On unseen
authors, .67 to .85 of the pairs above CONTESTS are related.
"""


@dataclass(frozen=True, slots=True)
class Pair:
    """A labelled pair of statements. related: whether `newer` changes `older`; None if unclear.

    case: name of the training example that `newer` is from. is_cross: whether `older` is from
    another example.
    """

    older: str
    newer: str
    case: str
    related: bool | None
    is_cross: bool = False


def authored() -> Iterator[Pair]:
    """Yield pairs from the training file: a fact and a later text, or two later texts unrelated to
    the fact.
    """
    for number, line in enumerate(TEXTS.read_text("utf-8").splitlines()):
        row = json.loads(line)
        case = f"authored {number}"
        yield from (
            Pair(row["fact"], text, case, label != "unrelated") for label, text in row["later"]
        )
        unrelated = [text for label, text in row["later"] if label == "unrelated"]
        for index, text in enumerate(unrelated):
            yield from (
                Pair(text, later_text, case, related=False)
                for later_text in unrelated[index + 1 : index + 3]
            )


def labelled(path: Path) -> Iterator[Pair]:
    """Yield each pair of an earlier and a later statement in the same example, for all examples in
    the file `path`.
    """
    for line in path.read_text("utf-8").splitlines():
        case = json.loads(line)
        statements = case["statements"]
        by_time = sorted(range(len(statements)), key=lambda index: (statements[index]["at"], index))
        for earlier, later in itertools.combinations(by_time, 2):
            older = statements[earlier]["text"]
            newer = statements[later]["text"]
            yield Pair(older, newer, case["id"], _related(case, earlier, later))


def _related(case: dict[str, Any], earlier: int, later: int) -> bool | None:
    """Whether the statement `later` of an example changes the statement `earlier`, given by index;
    None if unclear.
    """
    replaced = {int(key): value for key, value in case["replaced"].items()}
    successor = replaced.get(earlier)
    if successor == later:
        return True
    while successor not in (None, later):
        successor = replaced.get(successor)
    if successor == later or case["kind"] in ("back", "undo"):
        return None
    return case["kind"] == "partial" and earlier == 0 and case["answer_in"] == [later]


@dataclass(slots=True, eq=False)
class Author:
    """The labelled pairs of statements by one author. cosines: cosine similarity of each pair's
    statements.
    """

    name: str
    pairs: list[Pair]
    cosines: list[float]

    @classmethod
    def from_pairs(cls, name: str, pairs: list[Pair]) -> Author:
        """An author with `pairs`, and with pairs of similar statements of different examples,
        labelled as unrelated.
        """
        case_of = {text: pair.case for pair in pairs for text in (pair.older, pair.newer)}
        texts = list(case_of)
        vectors = np.stack([embedding.dense for embedding in embeddings_of(texts).values()])
        similarities = vectors @ vectors.T
        for index, text in enumerate(texts):
            nearest = np.argsort(-similarities[index])[:12]
            unrelated = [other for other in nearest if case_of[texts[other]] != case_of[text]]
            pairs += [
                Pair(texts[other], text, case_of[text], related=False, is_cross=True)
                for other in unrelated[:CROSS_PAIRS]
                if similarities[index, other] < MAX_CROSS_COSINE
            ]
        index_of = {text: index for index, text in enumerate(texts)}
        return cls(
            name,
            pairs,
            [float(similarities[index_of[pair.newer], index_of[pair.older]]) for pair in pairs],
        )


@dataclass(slots=True, eq=False)
class Words:
    """A logistic model that computes from a text's terms the log odds that the text reports a
    change.
    """

    vocabulary: dict[str, int]
    weights: NDArray[np.float64]
    bias: float

    @classmethod
    def fit(cls, texts: dict[str, bool]) -> Words:
        """A model trained on `texts`, whose values say whether the text reports a change."""
        counts = Counter(term for text in texts for term in Statement.from_text(text).terms())
        terms = sorted(term for term, count in counts.items() if count >= MIN_TEXTS)
        words = cls({term: index for index, term in enumerate(terms)}, np.zeros(0), 0.0)
        model = LogisticRegression(C=0.3, max_iter=500).fit(
            words.matrix(list(texts)) * 0.5, list(texts.values())
        )
        return cls(words.vocabulary, model.coef_[0] * 0.5, float(model.intercept_[0]))

    def matrix(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """A row for each text and a column for each term of the vocabulary: 1 if the text has the
        term, else 0.
        """
        matrix = np.zeros((len(texts), len(self.vocabulary)), dtype=np.float32)
        for row, text in enumerate(texts):
            matrix[
                row,
                [
                    self.vocabulary[term]
                    for term in Statement.from_text(text).terms() & self.vocabulary.keys()
                ],
            ] = 1.0
        return matrix

    def log_odds(self, texts: Sequence[str]) -> dict[str, float]:
        """Log odds, by text, that the text reports a change to an earlier fact."""
        return dict(
            zip(texts, (self.matrix(texts) @ self.weights + self.bias).tolist(), strict=True)
        )


def change_labels(pairs: Sequence[Pair]) -> dict[str, bool]:
    """For each newer text in `pairs`, whether it changes the older text of any of its pairs."""
    labels: dict[str, bool] = {}
    for pair in pairs:
        labels[pair.newer] = labels.get(pair.newer, False) or bool(pair.related)
    return labels


def held_out_log_odds(pairs: Sequence[Pair]) -> dict[str, float]:
    """Log odds, by newer text, that it reports a change, from models trained without the example of
    the text.
    """
    case_of = {pair.newer: pair.case for pair in pairs}
    texts = change_labels(pairs)
    log_odds: dict[str, float] = {}
    cases = sorted(set(case_of.values()))
    for fold in range(FOLDS):
        held_out = set(cases[fold::FOLDS])
        words = Words.fit(
            {text: changes for text, changes in texts.items() if case_of[text] not in held_out}
        )
        log_odds |= words.log_odds([text for text in texts if case_of[text] in held_out])
    return log_odds


@dataclass(slots=True, eq=False)
class Trained:
    """A model that judges whether a statement changes another: word weights, and trees over the
    features `names`.
    """

    words: Words
    names: list[str]
    trees: HistGradientBoostingClassifier

    @classmethod
    def fit(cls, authors: Sequence[Author]) -> Trained:
        """Train on the pairs of `authors`. Pairs labelled unclear (`related` is None) do not train
        the trees.
        """
        pairs = [pair for author in authors for pair in author.pairs]
        cosines = [cosine for author in authors for cosine in author.cosines]
        rows = evidence_of(pairs, cosines, held_out_log_odds(pairs))
        names = sorted(rows[0])
        clear = [index for index, pair in enumerate(pairs) if pair.related is not None]
        trees = HistGradientBoostingClassifier(
            learning_rate=0.05,
            l2_regularization=5,
            min_samples_leaf=15,
            max_features=0.3,
            max_depth=DEPTH,
            max_iter=TREES,
            random_state=0,
            early_stopping=False,
        )
        trees.fit(
            np.array([[rows[index][name] for name in names] for index in clear]),
            [bool(pairs[index].related) for index in clear],
            sample_weight=[0.5 if pairs[index].is_cross else 1.0 for index in clear],
        )
        return cls(Words.fit(change_labels(pairs)), names, trees)

    def judge(self, author: Author) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """For each pair, the probability that `newer` changes `older`, and whether they differ in
        just one value.
        """
        log_odds = self.words.log_odds(list({pair.newer: None for pair in author.pairs}))
        rows = evidence_of(author.pairs, author.cosines, log_odds)
        probabilities = self.trees.predict_proba(
            np.array([[row[name] for name in self.names] for row in rows])
        )[:, 1]
        return probabilities, np.array([has_same_form(row) for row in rows])

    def save(self) -> None:
        """Write the model to the package data, as updates.npz. Word weights are stored as
        float16.
        """
        # Has no public form
        trees = [predictors[0].nodes for predictors in self.trees._predictors]  # noqa: SLF001
        nodes = max(map(len, trees))
        shape = (len(trees), nodes)
        feature, left, right = (np.zeros(shape, dtype=np.int16) for _ in range(3))
        threshold, value = (np.zeros(shape, dtype=np.float32) for _ in range(2))
        for row, tree in enumerate(trees):
            is_leaf = tree["is_leaf"].astype(bool)
            node_ids = np.arange(len(tree))
            feature[row, node_ids] = np.where(is_leaf, 0, tree["feature_idx"])
            threshold[row, node_ids] = np.where(is_leaf, 0, tree["num_threshold"])
            left[row, node_ids] = np.where(is_leaf, node_ids, tree["left"])
            right[row, node_ids] = np.where(is_leaf, node_ids, tree["right"])
            value[row, node_ids] = np.where(is_leaf, tree["value"], 0)
        # Has no public form
        base = float(np.ravel(self.trees._baseline_prediction)[0])  # noqa: SLF001
        np.savez_compressed(
            TARGET,
            words=np.array(list(self.words.vocabulary)),
            weights=self.words.weights.astype(np.float16),
            names=np.array(self.names),
            feature=feature,
            threshold=threshold,
            left=left,
            right=right,
            value=value,
            constants=np.array([self.words.bias, base, REPLACES, CONTESTS]),
        )


def evidence_of(
    pairs: Sequence[Pair], cosines: Sequence[float], log_odds: dict[str, float]
) -> list[dict[str, float]]:
    """Features of each pair by name. cosines: of each pair. log_odds: that it reports a change, by
    newer text.
    """
    parsed = {
        text: Statement.from_text(text) for pair in pairs for text in (pair.older, pair.newer)
    }
    return [
        features(parsed[pair.newer], parsed[pair.older], cosine, log_odds[pair.newer])
        for pair, cosine in zip(pairs, cosines, strict=True)
    ]


def report(
    trained_on: str,
    author: Author,
    probabilities: NDArray[np.float64],
    same_form: NDArray[np.bool_],
) -> str:
    """A line with precision and recall on `author`. same_form: whether the texts of a pair differ
    in a value only.
    """
    is_tested = np.array([pair.related is not None and not pair.is_cross for pair in author.pairs])
    related = np.array([bool(pair.related) for pair in author.pairs])[is_tested]
    detected = probabilities[is_tested] >= CONTESTS
    replaced = (probabilities[is_tested] >= REPLACES) & same_form[is_tested]
    shares = " ".join(
        f"{name} precision {related[predicted].mean():.3f} recall {predicted[related].mean():.3f}"
        for name, predicted in (("detected", detected), ("replaced", replaced))
        if predicted.any()
    )
    is_cross = np.array([pair.is_cross for pair in author.pairs])
    cross_share = (probabilities[is_cross] >= CONTESTS).mean()
    return (
        f"{trained_on:>24} > {author.name:<12} {shares} of pairs across examples {cross_share:.3f}"
    )


def main() -> None:
    """Print, for each author, the quality of a model trained on the others. --save writes a model
    trained on all.
    """
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--save", action="store_true")
    arguments = parser.parse_args()
    authors = [Author.from_pairs("authored", list(authored()))]
    files = sorted(arguments.data.glob("updates*.jsonl"))
    authors += [Author.from_pairs(path.stem, list(labelled(path))) for path in files]
    for author in authors:
        other_authors = [other for other in authors if other is not author]
        trained = Trained.fit(other_authors)
        print(
            report("+".join(other.name for other in other_authors), author, *trained.judge(author))
        )
    if arguments.save:
        Trained.fit(authors).save()


if __name__ == "__main__":
    main()
