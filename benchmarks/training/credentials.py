"""Trains the model that tells credentials from harmless words, and prints its quality on texts of
unseen authors.

    python -m benchmarks.training.credentials [--data ../shared/data/behaviour] [--save] [--letters]

The model is trained on tests/data/training/secrets.jsonl ("authored") alone. Its quality is printed
for those texts, for each author of tests/data/secrets_varied.jsonl, and for secrets.jsonl.gz in the
`--data` folder ("scored"). --letters counts the bigrams of letters again, from the files of this
repository. --save writes credentials.npz and bigrams.npz. Needs scikit-learn.
"""

from __future__ import annotations

import argparse
import gzip
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
from sklearn.linear_model import LogisticRegression

from ingest.screening.redaction.credential_features import BigramTable, features
from ingest.screening.redaction.credentials import (
    CandidateWord,
    CredentialModel,
    candidates,
    credential_model,
)
from ingest.screening.redaction.patterns import BUILT_IN, CredentialPattern, Pattern
from ingest.screening.redaction.scan import redact, secrets_in
from memtypes.linear_model import from_binary
from tests.data.labelled import MarkedText, marked_texts, rows

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "ingest" / "screening" / "redaction"
RULES: tuple[Pattern, ...] = tuple(
    pattern for pattern in BUILT_IN if not isinstance(pattern, CredentialPattern)
)
UNLEARNT: tuple[Pattern, ...] = tuple(pattern for pattern in RULES if not pattern.literals)
"""Rules whose matches are left out of training: they are no credentials (e-mail addresses), or
longer than a word.
"""
STRENGTH = 60.0
"""Inverse of the L2 penalty: of 5, 10, 20, 40 and 60, the best value for texts that the model was
not trained on.
"""


def read_scored(folder: Path) -> list[MarkedText]:
    """The texts of secrets.jsonl.gz in `folder`, with (start, end) of each secret's first
    occurrence.
    """
    with gzip.open(folder / "secrets.jsonl.gz", "rt", encoding="utf-8") as lines:
        cases = [json.loads(line) for line in lines]
    return [
        MarkedText(
            text, [(text.index(secret), text.index(secret) + len(secret)) for secret in secrets]
        )
        for text, secrets in ((case["text"], case["secrets"]) for case in cases)
    ]


def bigram_table(paths: Iterable[Path]) -> BigramTable:
    """Log2 probabilities that a letter follows another in the files at `paths`, as table[first,
    second].

    The letters a to z have the indices 1 to 26. Other letters, and the ends of a word, have the
    index 0.
    """
    counts = np.full((27, 27), 0.5)
    for path in paths:
        for word in re.findall(r"[^\W\d_]+", path.read_text("utf-8").lower()):
            codes = [0, *(ord(letter) - 96 if "a" <= letter <= "z" else 0 for letter in word), 0]
            for pair in pairwise(codes):
                counts[pair] += 1
    table: BigramTable = np.log2(counts / counts.sum(axis=1, keepdims=True)).astype(np.float32)
    return table


def labelled_words(texts: Sequence[MarkedText]) -> list[tuple[CandidateWord, bool]]:
    """The words of `texts` that may be credentials, without matches of UNLEARNT, and whether each
    is in a secret.
    """
    rows = []
    for text, spans in texts:
        ruled_out = secrets_in(text, UNLEARNT)
        words = (*candidates(text, keyed=True), *candidates(text, keyed=False))
        rows += [
            (word, any(start < word.end and word.start < end for start, end in spans))
            for word in words
            if not any(secret.start < word.end and word.start < secret.end for secret in ruled_out)
        ]
    return rows


def train(
    texts: Sequence[MarkedText], bigrams: BigramTable, strength: float = STRENGTH
) -> CredentialModel:
    """A model that finds credentials, trained on `texts`. bigrams: see `bigram_table`. strength:
    inverse L2 penalty.
    """
    rows = labelled_words(texts)
    inputs = np.array(
        [features(word.word, word.near, bigrams) for word, _ in rows], dtype=np.float32
    )
    fitted = LogisticRegression(C=strength, max_iter=5_000).fit(
        inputs, [secret for _, secret in rows]
    )
    weights = fitted.coef_[0].astype(np.float32)
    bias = float(fitted.intercept_[0])
    return CredentialModel(from_binary(("harmless", "secret"), weights, bias), bigrams)


def patterns_with(model: CredentialModel) -> tuple[Pattern, ...]:
    """All built-in redaction patterns, with `model` in place of the shipped credential model."""
    return tuple(
        replace(rule, model=lambda: model) if isinstance(rule, CredentialPattern) else rule
        for rule in BUILT_IN
    )


def score(
    texts: Sequence[MarkedText], patterns: Sequence[Pattern], *, verbose: bool = False
) -> tuple[float, float]:
    """Share of the marked secrets that `patterns` remove, and share of the harmless texts that they
    alter.
    """
    caught = []
    altered = []
    for text, spans in texts:
        output = redact(text, patterns)
        removed = [text[start:end] not in output for start, end in spans]
        caught += removed
        altered += [] if spans else [output != text]
        if verbose and not (all(removed) if spans else output == text):
            print(f"  {'missed' if spans else 'altered'} {text[:150]!r} -> {output[:200]!r}")
    return sum(caught) / len(caught), sum(altered) / max(1, len(altered))


def measured_texts(scored: Path | None) -> dict[str, list[MarkedText]]:
    """The texts to measure on, by author. scored: folder of further ones; None to leave them
    out.
    """
    texts = {"authored": marked_texts("training/secrets")}
    for row, text in zip(rows("secrets_varied"), marked_texts("secrets_varied"), strict=True):
        texts.setdefault(row["author"], []).append(text)
    if scored is not None:
        texts["scored"] = read_scored(scored)
    return texts


def main() -> None:
    """Print the quality of the rules and of the trained model. --save writes the model."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path)
    parser.add_argument("--strength", type=float, default=STRENGTH)
    for flag in ("--save", "--letters", "--verbose"):
        parser.add_argument(flag, action="store_true")
    options = parser.parse_args()
    sources = [*ROOT.glob("*/**/*.py"), *ROOT.glob("tests/data/*.jsonl"), *ROOT.glob("**/*.md")]
    files = (path for path in sources if "secrets" not in path.name and ".venv" not in path.parts)
    bigrams = bigram_table(files) if options.letters else credential_model().bigrams
    measured = measured_texts(options.data)
    model = train(measured["authored"], bigrams, options.strength)
    print("| caught, altered | rules alone | with the model |\n|---|---|---|")
    for author, texts in measured.items():
        ruled = score(texts, RULES)
        learnt = score(texts, patterns_with(model), verbose=options.verbose)
        print("| {} | {:.3f}, {:.3f} | {:.3f}, {:.3f} |".format(author, *ruled, *learnt))
    if options.save:
        model.classifier.save(PACKAGE / "credentials.npz")
        np.savez_compressed(PACKAGE / "bigrams.npz", bigrams=np.rint(bigrams * 8).astype(np.int8))


if __name__ == "__main__":
    main()
