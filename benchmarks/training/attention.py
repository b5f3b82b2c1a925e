"""Trains an attention model that judges a text's memory type and worth from the encoder's token
states. Needs torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from ingest.screening.judge import AttentionModel
from memtypes.linear_model import FloatArray
from memtypes.search.vectors import TokenStates

QUERIES = 8
VALUES = 24
DROPOUT = 0.3
SCALE = 0.3
EPOCHS = 5
BATCH = 48
RATE = 2e-3
DECAY = 0.1
SMOOTHING = 0.05
POSITIVE_WEIGHT = 2.2
"""Weight of a "yes": about the number of messages of noise for each message worth keeping in a
conversation.
"""


@dataclass(frozen=True, slots=True, eq=False)
class Target:
    """A labelled text. states: its token states. english: whether it is English, from 0 to 1.

    kinds: the share of each memory type; zeros if unknown. answers: yes-or-no labels, by index of
    the class.
    """

    states: TokenStates
    english: float
    kinds: FloatArray
    answers: dict[int, bool]


class _Network(nn.Module):  # type: ignore[misc]  # torch has no types here
    def __init__(self, dimensions: int, classes: int) -> None:
        super().__init__()
        self.projection = nn.Linear(dimensions, QUERIES + QUERIES * VALUES)
        self.output = nn.Linear(QUERIES * VALUES, classes)
        self.mean = nn.Linear(dimensions, classes)
        self.foreign = nn.Parameter(torch.zeros(classes))
        self.dropout = nn.Dropout(DROPOUT)
        with torch.no_grad():
            self.projection.weight[:QUERIES] = 0
            self.mean.weight.zero_()

    def forward(
        self, states: torch.Tensor, present: torch.Tensor, english: torch.Tensor
    ) -> torch.Tensor:
        states = self.dropout(states) * SCALE
        projected = self.projection(states)
        weights = projected[..., :QUERIES].masked_fill(~present[..., None], -1e9).softmax(1)
        values = torch.tanh(projected[..., QUERIES:].view(*states.shape[:2], QUERIES, VALUES))
        pooled = torch.einsum("nth,nthd->nhd", weights, values).flatten(1)
        mean = (states * present[..., None]).sum(1) / present.sum(1, keepdim=True)
        scores = self.output(self.dropout(pooled)) + self.mean(mean)
        return english[:, None] * scores + (1 - english[:, None]) * self.foreign


def fit_attention(
    classes: Sequence[str], kinds: int, targets: Sequence[Target], seed: int = 0
) -> AttentionModel:
    """A model trained on `targets`. The first `kinds` classes are memory types; the others are
    yes-or-no labels.
    """
    torch.manual_seed(seed)
    generator = np.random.default_rng(seed)
    targets = [target for target in targets if len(target.states)]
    all_states = np.concatenate([target.states for target in targets]).astype(np.float32)
    centre = all_states.mean(axis=0)
    spread = all_states.std(axis=0) + 1e-3
    states = [
        torch.from_numpy((target.states.astype(np.float32) - centre) / spread) for target in targets
    ]
    lengths = np.array([len(text_states) for text_states in states])
    network = _Network(len(centre), len(classes))
    optimiser = torch.optim.AdamW(network.parameters(), lr=RATE, weight_decay=DECAY)
    batch_count = len(targets) // BATCH + 1
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, RATE, EPOCHS * batch_count, pct_start=0.1
    )
    for _ in range(EPOCHS):
        order = np.argsort(lengths + generator.random(len(lengths)) * 6)
        batches = np.array_split(order, batch_count)
        for number in generator.permutation(batch_count):
            rows = [targets[index] for index in batches[number]]
            padded = nn.utils.rnn.pad_sequence(
                [states[index] for index in batches[number]], batch_first=True
            )
            sizes = torch.from_numpy(lengths[batches[number]])
            present = torch.arange(padded.shape[1])[None] < sizes[:, None]
            english = torch.tensor([row.english for row in rows], dtype=torch.float32)
            loss = _loss(network(padded, present, english), rows, kinds)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
    return _exported(network, classes, centre, spread)


def with_kinds(
    model: AttentionModel, others: Sequence[AttentionModel], kinds: int
) -> AttentionModel:
    """`model`, but its first `kinds` classes have the mean score of `others`, each a model as it
    was trained.

    The first QUERIES queries of `model` score its other classes; queries of models joined to it
    before are dropped.
    """
    size = QUERIES * VALUES
    models = [model, *others]
    reads = [np.vstack([network.read, network.read_bias]) for network in models]
    values = [
        read[:, network.queries : network.queries + size]
        for network, read in zip(models, reads, strict=True)
    ]
    read = np.hstack([*(network_read[:, :QUERIES] for network_read in reads), *values])
    out = np.zeros((len(models) * size, len(model.classes)), dtype=np.float32)
    out[:size, kinds:] = model.out[:size, kinds:]
    mean = model.mean.copy()
    bias = model.bias.copy()
    for number, other in enumerate(others, 1):
        out[number * size : (number + 1) * size, :kinds] = other.out[:, :kinds] / len(others)
    mean[:, :kinds] = np.mean([other.mean[:, :kinds] for other in others], axis=0)
    bias[:kinds] = np.mean([other.bias[:kinds] for other in others], axis=0)
    return AttentionModel(
        model.classes, len(models) * QUERIES, read[:-1], read[-1], out, mean, bias, model.foreign
    )


def _loss(scores: torch.Tensor, rows: Sequence[Target], kinds: int) -> torch.Tensor:
    shares = torch.from_numpy(np.stack([row.kinds for row in rows]))
    type_losses = nn.functional.cross_entropy(
        scores[:, :kinds], shares, label_smoothing=SMOOTHING, reduction="none"
    )
    total = (type_losses * (shares.sum(1) > 0)).sum()
    labels = [
        (index, class_index, yes)
        for index, row in enumerate(rows)
        for class_index, yes in row.answers.items()
    ]
    if labels:
        places, classes, answers = (list(column) for column in zip(*labels, strict=True))
        yes = torch.tensor(answers, dtype=torch.float32)
        answer_losses = nn.functional.binary_cross_entropy_with_logits(
            scores[places, classes],
            yes * (1 - SMOOTHING) + SMOOTHING / 2,
            weight=1 + yes * (POSITIVE_WEIGHT - 1),
            reduction="sum",
        )
        total = total + answer_losses
    return total / len(rows)


def _exported(
    network: _Network, classes: Sequence[str], centre: FloatArray, spread: FloatArray
) -> AttentionModel:
    arrays = {
        name: value.detach().numpy().astype(np.float32)
        for name, value in network.state_dict().items()
    }
    projection, mean = (
        SCALE * arrays[f"{name}.weight"].T / spread[:, None] for name in ("projection", "mean")
    )
    bias = arrays["output.bias"] + arrays["mean.bias"] - centre @ mean
    projection_bias = arrays["projection.bias"] - centre @ projection
    return AttentionModel(
        tuple(classes),
        QUERIES,
        projection,
        projection_bias,
        arrays["output.weight"].T,
        mean,
        bias,
        arrays["foreign"],
    )
