"""Command-line options generated from the fields of request dataclasses."""

from __future__ import annotations

import argparse
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from benchmarks.harness.options import add_options, flag, request_of


@dataclass(frozen=True, slots=True)
class Request:
    """A dataclass with every kind of field that an option can have."""

    data: Path = field(metadata=flag("a folder", Path))
    sizes: tuple[int, ...] = field(default=(1, 2), metadata=flag("sizes", int, least=1))
    rounds: int = field(default=3, metadata=flag("rounds", least=1))
    limit_s: float = field(default=0.5, metadata=flag("a limit"))
    store: Path | None = field(default=None, metadata=flag("a folder to keep", Path))
    way: str | None = field(default=None, metadata=flag("a way", str, choices=("skip", "cut")))
    plain: bool = field(default=False, metadata=flag("plainly"))


@pytest.fixture
def parser() -> argparse.ArgumentParser:
    """An argument parser whose options are the fields of the dataclass `Request`."""
    parser = argparse.ArgumentParser(prog="p")
    add_options(parser, Request)
    return parser


def test_fields_become_options(parser: argparse.ArgumentParser) -> None:
    """Each field of a dataclass is a command-line option, converted to its type.

    Without the option, its default applies.
    """
    assert request_of(parser.parse_args(["--data", "d"]), Request) == Request(Path("d"))
    words = [
        "--data",
        "d",
        "--sizes",
        "5",
        "6",
        "--rounds",
        "2",
        "--limit-s",
        "1.5",
        "--store",
        "s",
        "--plain",
    ]
    expected = Request(Path("d"), (5, 6), 2, 1.5, Path("s"), "cut", plain=True)
    assert request_of(parser.parse_args([*words, "--way", "cut"]), Request) == expected


def test_help_shows_defaults(parser: argparse.ArgumentParser) -> None:
    """The help text shows each default except None and False."""
    text = parser.format_help()
    assert "(default: 1 2)" in text
    assert "(default: 3)" in text
    assert "None" not in text
    assert "False" not in text


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--data", "d", "--rounds", "0"], "must be 1 or more"),
        (["--data", "d", "--rounds", "x"], "invalid int value"),
        (["--data", "d", "--way", "x"], "invalid choice"),
        ([], "required: --data"),
    ],
)
def test_invalid_words_are_usage_errors(
    parser: argparse.ArgumentParser,
    words: list[str],
    message: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The error for an invalid argument names the argument or its option."""
    with pytest.raises(SystemExit):
        parser.parse_args(words)
    assert message in capsys.readouterr().err
