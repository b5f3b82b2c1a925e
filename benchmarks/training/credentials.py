"""Trains the model that tells credentials from harmless words, and prints its quality on authors it did not see.

    python -m benchmarks.training.credentials --data ../shared/data/behaviour [--save] [--letters]

Labelled texts come from tests/data/training/secrets.jsonl, and from secrets.jsonl.gz in the `--data` folder. --save
trains on both, and writes credentials.npz (with --letters bigrams.npz, too, counted again). Needs scikit-learn.
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

from ingest.screening.redaction.credentials import CandidateWord, CredentialModel, candidates, credential_model
from ingest.screening.redaction.features import BigramTable, features
from ingest.screening.redaction.patterns import BUILT_IN, CredentialPattern, Pattern
from ingest.screening.redaction.scan import redact, secrets_in
from memtypes.linear_model import from_binary
from tests.data.labelled import MarkedText, marked_texts

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "ingest" / "screening" / "redaction"
RULES: tuple[Pattern, ...] = tuple(pattern for pattern in BUILT_IN if not isinstance(pattern, CredentialPattern))
UNLEARNT: tuple[Pattern, ...] = tuple(pattern for pattern in RULES if not pattern.literals)
"""Rules whose matches are left out of training: no credentials (e-mail addresses), or longer than one word."""
STRENGTH = 20.0
"""Inverse of the L2 penalty: of 1, 3, 10 and 20, the value that catches most secrets of an author it did not see."""


def read_scored(data: Path) -> list[MarkedText]:
    """The texts of secrets.jsonl.gz in the folder `data`, with (start, end) of each secret's first occurrence."""
    with gzip.open(data / "secrets.jsonl.gz", "rt", encoding="utf-8") as lines:
        cases = [json.loads(line) for line in lines]
    return [
        MarkedText(case["text"], [(case["text"].index(s), case["text"].index(s) + len(s)) for s in case["secrets"]])
        for case in cases
    ]


def letter_pairs(paths: Iterable[Path]) -> BigramTable:
    """Log2 probabilities table[first, second] that a letter follows another in files. a to z: 1 to 26; all else: 0."""
    counts = np.full((27, 27), 0.5)
    for path in paths:
        for word in re.findall(r"[^\W\d_]+", path.read_text("utf-8").lower()):
            codes = [0, *(ord(letter) - 96 if "a" <= letter <= "z" else 0 for letter in word), 0]
            for pair in pairwise(codes):
                counts[pair] += 1
    table: BigramTable = np.log2(counts / counts.sum(axis=1, keepdims=True)).astype(np.float32)
    return table


def labelled(texts: Sequence[MarkedText]) -> list[tuple[CandidateWord, bool]]:
    """Words that may be credentials, and whether each is in a secret. E-mails and the like (UNLEARNT) are left out."""
    rows = []
    for text, marks in texts:
        ruled = secrets_in(text, UNLEARNT)
        judged = (*candidates(text, keyed=True), *candidates(text, keyed=False))
        rows += [
            (each, any(start < each.end and each.start < end for start, end in marks))
            for each in judged
            if not any(secret.start < each.end and each.start < secret.end for secret in ruled)
        ]
    return rows


def train(texts: Sequence[MarkedText], bigrams: BigramTable, strength: float = STRENGTH) -> CredentialModel:
    """Train the model that finds credentials. bigrams: frequency of letter pairs. strength: inverse L2 penalty."""
    rows = labelled(texts)
    inputs = np.array([features(each.word, each.near, bigrams) for each, _ in rows], dtype=np.float32)
    fitted = LogisticRegression(C=strength, max_iter=5_000).fit(inputs, [secret for _, secret in rows])
    weights, bias = fitted.coef_[0].astype(np.float32), float(fitted.intercept_[0])
    return CredentialModel(from_binary(("harmless", "secret"), weights, bias), bigrams)


def patterns(model: CredentialModel) -> tuple[Pattern, ...]:
    """All built-in redaction patterns, with `model` in place of the shipped credential model."""
    return tuple(replace(p, model=lambda: model) if isinstance(p, CredentialPattern) else p for p in BUILT_IN)


def score(texts: Sequence[MarkedText], used: Sequence[Pattern], *, verbose: bool = False) -> tuple[float, float]:
    """Share of marked secrets that redaction patterns `used` remove, and share of harmless texts that they alter."""
    caught, altered = [], []
    for text, marks in texts:
        output = redact(text, used)
        gone = [text[start:end] not in output for start, end in marks]
        caught += gone
        altered += [] if marks else [output != text]
        if verbose and not (all(gone) if marks else output == text):
            print(f"  {'missed' if marks else 'altered'} {text[:150]!r} -> {output[:200]!r}")
    return sum(caught) / len(caught), sum(altered) / max(1, len(altered))


def main() -> None:
    """Print scores of models trained on either file of labelled texts or on both. --save writes the one for both."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--strength", type=float, default=STRENGTH)
    for flag in ("--save", "--letters", "--verbose"):
        parser.add_argument(flag, action="store_true")
    options = parser.parse_args()
    sources = [*ROOT.glob("*/**/*.py"), *ROOT.glob("tests/data/*.jsonl"), *ROOT.glob("**/*.md")]
    files = (path for path in sources if "secrets" not in path.name and ".venv" not in path.parts)
    bigrams = letter_pairs(files) if options.letters else credential_model().bigrams
    authored, scored = marked_texts("training/secrets"), read_scored(options.data)
    print("| trained on | authored: caught, altered | scored: caught, altered |\n|---|---|---|")
    print("| rules alone | {:.3f}, {:.3f} | {:.3f}, {:.3f} |".format(*score(authored, RULES), *score(scored, RULES)))
    for name, texts in (("authored", authored), ("scored", scored), ("both", [*authored, *scored])):
        used = patterns(train(texts, bigrams, options.strength))
        figures = (*score(authored, used, verbose=options.verbose), *score(scored, used, verbose=options.verbose))
        print("| {} | {:.3f}, {:.3f} | {:.3f}, {:.3f} |".format(name, *figures))
    if options.save:
        train([*authored, *scored], bigrams, options.strength).classifier.save(PACKAGE / "credentials.npz")
        np.savez_compressed(PACKAGE / "bigrams.npz", bigrams=np.rint(bigrams * 8).astype(np.int8))


if __name__ == "__main__":
    main()
