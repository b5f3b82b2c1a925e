"""Trains an attention model that judges a text's memory type and worth from the encoder's token states. Needs torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from ingest.screening.judge import AttentionModel
from memtypes.linear_model import FloatArray
from memtypes.search.vectors import TokenStates

QUERIES, VALUES = 8, 24
DROPOUT, SCALE = 0.3, 0.3
EPOCHS, BATCH, RATE, DECAY = 5, 48, 2e-3, 0.1
SMOOTHING = 0.05
POSITIVE_WEIGHT = 2.2
"""Weight of a yes: a conversation has about so many messages of noise for each message worth keeping."""


@dataclass(frozen=True, slots=True, eq=False)
class Target:
    """A labelled text. kinds: share of each memory type; zeros if unknown. answers: yes or no, by index of a class."""

    states: TokenStates
    english: float
    kinds: FloatArray
    answers: dict[int, bool]


class _Network(nn.Module):  # type: ignore[misc]  # torch has no types here
    def __init__(self, dimensions: int, classes: int) -> None:
        super().__init__()
        self.read = nn.Linear(dimensions, QUERIES + QUERIES * VALUES)
        self.out, self.mean = nn.Linear(QUERIES * VALUES, classes), nn.Linear(dimensions, classes)
        self.foreign, self.dropout = nn.Parameter(torch.zeros(classes)), nn.Dropout(DROPOUT)
        with torch.no_grad():
            self.read.weight[:QUERIES] = 0
            self.mean.weight.zero_()

    def forward(self, states: torch.Tensor, present: torch.Tensor, english: torch.Tensor) -> torch.Tensor:
        states = self.dropout(states) * SCALE
        seen = self.read(states)
        weights = seen[..., :QUERIES].masked_fill(~present[..., None], -1e9).softmax(1)
        values = torch.tanh(seen[..., QUERIES:].view(*states.shape[:2], QUERIES, VALUES))
        pooled = torch.einsum("nth,nthd->nhd", weights, values).flatten(1)
        mean = (states * present[..., None]).sum(1) / present.sum(1, keepdim=True)
        scores = self.out(self.dropout(pooled)) + self.mean(mean)
        return english[:, None] * scores + (1 - english[:, None]) * self.foreign


def fit_attention(classes: Sequence[str], kinds: int, targets: Sequence[Target], seed: int = 0) -> AttentionModel:
    """Train a model. The first `kinds` classes exclude each other, as memory types do. Others are yes-or-no labels."""
    torch.manual_seed(seed)
    generator = np.random.default_rng(seed)
    targets = [target for target in targets if len(target.states)]
    everything = np.concatenate([target.states for target in targets]).astype(np.float32)
    centre, spread = everything.mean(axis=0), everything.std(axis=0) + 1e-3
    states = [torch.from_numpy((target.states.astype(np.float32) - centre) / spread) for target in targets]
    lengths = np.array([len(each) for each in states])
    network = _Network(len(centre), len(classes))
    optimiser = torch.optim.AdamW(network.parameters(), lr=RATE, weight_decay=DECAY)
    batches = len(targets) // BATCH + 1
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, RATE, EPOCHS * batches, pct_start=0.1)
    for _ in range(EPOCHS):
        order = np.argsort(lengths + generator.random(len(lengths)) * 6)
        parts = np.array_split(order, batches)
        for part in generator.permutation(batches):
            rows = [targets[at] for at in parts[part]]
            padded = nn.utils.rnn.pad_sequence([states[at] for at in parts[part]], batch_first=True)
            sizes = torch.from_numpy(lengths[parts[part]])
            present = torch.arange(padded.shape[1])[None] < sizes[:, None]
            english = torch.tensor([row.english for row in rows], dtype=torch.float32)
            loss = _loss(network(padded, present, english), rows, kinds)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
    return _exported(network, classes, centre, spread)


def with_kinds(model: AttentionModel, others: Sequence[AttentionModel], kinds: int) -> AttentionModel:
    """`model`, but its first `kinds` classes have the mean score of `others`, each a model as it was trained.

    The first QUERIES queries of `model` score its other classes; queries of models joined to it before are dropped.
    """
    size, every = QUERIES * VALUES, [model, *others]
    reads = [np.vstack([each.read, each.read_bias]) for each in every]
    values = [read[:, each.queries : each.queries + size] for each, read in zip(every, reads, strict=True)]
    read = np.hstack([*(each[:, :QUERIES] for each in reads), *values])
    out = np.zeros((len(every) * size, len(model.classes)), dtype=np.float32)
    out[:size, kinds:] = model.out[:size, kinds:]
    mean, bias = model.mean.copy(), model.bias.copy()
    for at, other in enumerate(others, 1):
        out[at * size : (at + 1) * size, :kinds] = other.out[:, :kinds] / len(others)
    mean[:, :kinds] = np.mean([other.mean[:, :kinds] for other in others], axis=0)
    bias[:kinds] = np.mean([other.bias[:kinds] for other in others], axis=0)
    return AttentionModel(model.classes, len(every) * QUERIES, read[:-1], read[-1], out, mean, bias, model.foreign)


def _loss(scores: torch.Tensor, rows: Sequence[Target], kinds: int) -> torch.Tensor:
    shares = torch.from_numpy(np.stack([row.kinds for row in rows]))
    typed = nn.functional.cross_entropy(scores[:, :kinds], shares, label_smoothing=SMOOTHING, reduction="none")
    total = (typed * (shares.sum(1) > 0)).sum()
    for at, row in enumerate(rows):
        for place, yes in row.answers.items():
            wanted = torch.tensor(1 - SMOOTHING / 2 if yes else SMOOTHING / 2)
            answer = nn.functional.binary_cross_entropy_with_logits(scores[at, place], wanted)
            total = total + answer * (POSITIVE_WEIGHT if yes else 1.0)
    return total / len(rows)


def _exported(network: _Network, classes: Sequence[str], centre: FloatArray, spread: FloatArray) -> AttentionModel:
    arrays = {name: value.detach().numpy().astype(np.float32) for name, value in network.state_dict().items()}
    read, mean = (SCALE * arrays[f"{name}.weight"].T / spread[:, None] for name in ("read", "mean"))
    bias = arrays["out.bias"] + arrays["mean.bias"] - centre @ mean
    read_bias = arrays["read.bias"] - centre @ read
    return AttentionModel(
        tuple(classes), QUERIES, read, read_bias, arrays["out.weight"].T, mean, bias, arrays["foreign"]
    )
