"""Trains the model that tells whether a statement changes an older one, and prints its quality on unseen authors.

    python -m benchmarks.training.updates --data ../shared/data/behaviour [--save]

Pairs come from tests/data/training/updates.jsonl and updates*.jsonl in the `--data` folder, each file by one author.
--save trains on all pairs and writes updates.npz to ingest/identity. Needs scikit-learn.
"""

from __future__ import annotations

import argparse
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
from ingest.identity.evidence import Statement, features, has_same_form
from ingest.identity.judgement import MODEL_FILE

ROOT = Path(__file__).parents[2]
TEXTS = ROOT / "tests" / "data" / "training" / "updates.jsonl"
TARGET = ROOT / "ingest" / "identity" / MODEL_FILE

TREES, DEPTH = 200, 3
LEAST_TEXTS = 3
"""Minimum number of texts with a word or pair of words for which a weight is learnt."""

STRANGERS = 2
"""Number of similar statements of other cases with which each statement is paired, as unrelated."""

TOO_NEAR = 0.72
"""Cosine from which statements of different cases are not paired: they may be about the same fact."""

FOLDS = 5
REPLACES, CONTESTS = 0.5, 0.36
"""Minimum probabilities, chosen on unseen authors: .67 to .85 of the pairs above CONTESTS are related."""


@dataclass(frozen=True, slots=True)
class Pair:
    """A labelled pair of statements. related: whether `newer` changes `older`; None if unclear.

    case: name of the training example that `newer` is from. stranger: whether `older` is from another example.
    """

    older: str
    newer: str
    case: str
    related: bool | None
    stranger: bool = False


def authored() -> Iterator[Pair]:
    """Yield pairs from the training file: a fact and a later text, or two later texts that do not concern the fact."""
    for number, line in enumerate(TEXTS.read_text("utf-8").splitlines()):
        row = json.loads(line)
        case = f"authored {number}"
        yield from (Pair(row["fact"], text, case, label != "unrelated") for label, text in row["later"])
        others = [text for label, text in row["later"] if label == "unrelated"]
        for place, text in enumerate(others):
            yield from (Pair(text, other, case, related=False) for other in others[place + 1 : place + 3])


def labelled(path: Path) -> Iterator[Pair]:
    """Yield each pair of an earlier and a later statement in the same example, for all examples in the file `path`."""
    for line in path.read_text("utf-8").splitlines():
        case = json.loads(line)
        told = sorted(range(len(case["statements"])), key=lambda at: (case["statements"][at]["at"], at))
        for place, old in enumerate(told):
            for new in told[place + 1 :]:
                older, newer = (case["statements"][at]["text"] for at in (old, new))
                yield Pair(older, newer, case["id"], _related(case, old, new))


def _related(case: dict[str, Any], old: int, new: int) -> bool | None:
    replaced = {int(key): value for key, value in case["replaced"].items()}
    following = replaced.get(old)
    if following == new:
        return True
    while following not in (None, new):
        following = replaced.get(following)
    if following == new or case["kind"] in ("back", "undo"):
        return None
    return case["kind"] == "partial" and old == 0 and case["answer_in"] == [new]


@dataclass(slots=True, eq=False)
class Author:
    """The labelled pairs of statements by one author. cosines: cosine similarity of each pair's statements."""

    name: str
    pairs: list[Pair]
    cosines: list[float]

    @classmethod
    def of(cls, name: str, pairs: list[Pair]) -> Author:
        """An author with `pairs`, and added pairs labelled unrelated: similar statements of different examples."""
        case_of = {text: pair.case for pair in pairs for text in (pair.older, pair.newer)}
        texts = list(case_of)
        vectors = np.stack([embedding.dense for embedding in embeddings_of(texts).values()])
        near = vectors @ vectors.T
        for at, text in enumerate(texts):
            others = [other for other in np.argsort(-near[at])[:12] if case_of[texts[other]] != case_of[text]]
            pairs += [
                Pair(texts[other], text, case_of[text], related=False, stranger=True)
                for other in others[:STRANGERS]
                if near[at, other] < TOO_NEAR
            ]
        place = {text: at for at, text in enumerate(texts)}
        return cls(name, pairs, [float(near[place[pair.newer], place[pair.older]]) for pair in pairs])


@dataclass(slots=True, eq=False)
class Words:
    """A logistic model that gives, from the terms of a text, the log odds that the text reports a change."""

    vocabulary: dict[str, int]
    weights: NDArray[np.float64]
    bias: float

    @classmethod
    def fit(cls, texts: dict[str, bool]) -> Words:
        """Train the model. Keys of `texts` are the texts, values say whether a text reports a change."""
        counts = Counter(term for text in texts for term in Statement.of(text).terms())
        known = sorted(term for term, count in counts.items() if count >= LEAST_TEXTS)
        words = cls({term: at for at, term in enumerate(known)}, np.zeros(0), 0.0)
        model = LogisticRegression(C=0.3, max_iter=500).fit(words.matrix(list(texts)) * 0.5, list(texts.values()))
        return cls(words.vocabulary, model.coef_[0] * 0.5, float(model.intercept_[0]))

    def matrix(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """A row for each text and a column for each term of the vocabulary: 1 if the text has the term, else 0."""
        found = np.zeros((len(texts), len(self.vocabulary)), dtype=np.float32)
        for row, text in enumerate(texts):
            found[row, [self.vocabulary[term] for term in Statement.of(text).terms() & self.vocabulary.keys()]] = 1.0
        return found

    def telling(self, texts: Sequence[str]) -> dict[str, float]:
        """Log odds, by text, that the text reports a change to an earlier fact, judged from its terms."""
        return dict(zip(texts, (self.matrix(texts) @ self.weights + self.bias).tolist(), strict=True))


def tells(pairs: Sequence[Pair]) -> dict[str, bool]:
    """For each newer text in `pairs`, whether any of its pairs is labelled as a change of the older text."""
    found: dict[str, bool] = {}
    for pair in pairs:
        found[pair.newer] = found.get(pair.newer, False) or bool(pair.related)
    return found


def held_out_telling(pairs: Sequence[Pair]) -> dict[str, float]:
    """Log odds, by text, that a newer text reports a change, from a model trained without the text's own example."""
    case_of = {pair.newer: pair.case for pair in pairs}
    texts = tells(pairs)
    found: dict[str, float] = {}
    cases = sorted(set(case_of.values()))
    for fold in range(FOLDS):
        left_out = set(cases[fold::FOLDS])
        words = Words.fit({text: changes for text, changes in texts.items() if case_of[text] not in left_out})
        found |= words.telling([text for text in texts if case_of[text] in left_out])
    return found


@dataclass(slots=True, eq=False)
class Trained:
    """A model that tells if a statement changes another: word weights, and trees over a pair's features `names`."""

    words: Words
    names: list[str]
    trees: HistGradientBoostingClassifier

    @classmethod
    def fit(cls, authors: Sequence[Author]) -> Trained:
        """Train on the pairs of `authors`. Pairs labelled unclear (`related` is None) do not train the trees."""
        pairs = [pair for author in authors for pair in author.pairs]
        cosines = [cosine for author in authors for cosine in author.cosines]
        rows = evidence_of(pairs, cosines, held_out_telling(pairs))
        names = sorted(rows[0])
        known = [at for at, pair in enumerate(pairs) if pair.related is not None]
        trees = HistGradientBoostingClassifier(
            learning_rate=0.05, l2_regularization=5, min_samples_leaf=15, max_features=0.3, max_depth=DEPTH,
            max_iter=TREES, random_state=0, early_stopping=False,
        )  # fmt: skip
        trees.fit(
            np.array([[rows[at][name] for name in names] for at in known]),
            [bool(pairs[at].related) for at in known],
            sample_weight=[0.5 if pairs[at].stranger else 1.0 for at in known],
        )
        return cls(Words.fit(tells(pairs)), names, trees)

    def judged(self, author: Author) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """For each pair, the probability that `newer` changes `older`, and whether they differ in just one value."""
        telling = self.words.telling(list({pair.newer: None for pair in author.pairs}))
        rows = evidence_of(author.pairs, author.cosines, telling)
        probabilities = self.trees.predict_proba(np.array([[row[name] for name in self.names] for row in rows]))[:, 1]
        return probabilities, np.array([has_same_form(row) for row in rows])

    def save(self) -> None:
        """Write the model to the package data, as updates.npz. Word weights are stored as float16."""
        trees = [predictors[0].nodes for predictors in self.trees._predictors]  # noqa: SLF001 - has no public form
        nodes = max(map(len, trees))
        shape = (len(trees), nodes)
        feature, left, right = (np.zeros(shape, dtype=np.int16) for _ in range(3))
        threshold, value = (np.zeros(shape, dtype=np.float32) for _ in range(2))
        for row, tree in enumerate(trees):
            leaf, at = tree["is_leaf"].astype(bool), np.arange(len(tree))
            feature[row, at] = np.where(leaf, 0, tree["feature_idx"])
            threshold[row, at] = np.where(leaf, 0, tree["num_threshold"])
            left[row, at], right[row, at] = np.where(leaf, at, tree["left"]), np.where(leaf, at, tree["right"])
            value[row, at] = np.where(leaf, tree["value"], 0)
        base = float(np.ravel(self.trees._baseline_prediction)[0])  # noqa: SLF001 - has no public form
        np.savez_compressed(
            TARGET, words=np.array(list(self.words.vocabulary)), weights=self.words.weights.astype(np.float16),
            names=np.array(self.names), feature=feature, threshold=threshold, left=left, right=right, value=value,
            constants=np.array([self.words.bias, base, REPLACES, CONTESTS]),
        )  # fmt: skip


def evidence_of(pairs: Sequence[Pair], cosines: Sequence[float], telling: dict[str, float]) -> list[dict[str, float]]:
    """Features of each pair by name. cosines: similarity of each pair. telling: log odds of a change, by newer text."""
    parsed = {text: Statement.of(text) for pair in pairs for text in (pair.older, pair.newer)}
    return [
        features(parsed[pair.newer], parsed[pair.older], cosine, telling[pair.newer])
        for pair, cosine in zip(pairs, cosines, strict=True)
    ]


def report(train: str, author: Author, probabilities: NDArray[np.float64], same_form: NDArray[np.bool_]) -> str:
    """Format precision and recall on `author`. train: the training authors. same_form: pairs that differ in a value."""
    inside = np.array([pair.related is not None and not pair.stranger for pair in author.pairs])
    related = np.array([bool(pair.related) for pair in author.pairs])[inside]
    seen = probabilities[inside] >= CONTESTS
    replaced = (probabilities[inside] >= REPLACES) & same_form[inside]
    shares = " ".join(
        f"{name} precision {related[marked].mean():.3f} recall {marked[related].mean():.3f}"
        for name, marked in (("seen", seen), ("replaced", replaced))
        if marked.any()
    )
    strange = np.array([pair.stranger for pair in author.pairs])
    return f"{train:>24} > {author.name:<12} {shares} of strangers {(probabilities[strange] >= CONTESTS).mean():.3f}"


def main() -> None:
    """For each author, print how well a model trained on the others finds changes. --save writes one trained on all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--save", action="store_true")
    arguments = parser.parse_args()
    authors = [Author.of("authored", list(authored()))]
    files = sorted(arguments.data.glob("updates*.jsonl"))
    authors += [Author.of(path.stem, list(labelled(path))) for path in files]
    for author in authors:
        others = [other for other in authors if other is not author]
        trained = Trained.fit(others)
        print(report("+".join(other.name for other in others), author, *trained.judged(author)))
    if arguments.save:
        Trained.fit(authors).save()


if __name__ == "__main__":
    main()
