"""Turns the request of a command into its command line: a frozen dataclass whose fields are the options.

A field with the metadata of `flag` becomes `--field-name`; the rest of the benchmarks sees plain values.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import MISSING, dataclass, fields
from typing import Any, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Flag:
    """How an option is read. text: help; least: smallest number; choices: allowed words."""

    text: str
    kind: Callable[[str], Any] | None
    least: float | None
    choices: tuple[str, ...] | None

    def converter(self, default: object) -> Callable[[str], Any]:
        """Converts a word, or raises ArgumentTypeError for a number below `least`."""
        kind: Any = self.kind or type(default)

        def convert(word: str) -> Any:
            value = kind(word)
            if self.least is not None and value < self.least:
                raise argparse.ArgumentTypeError(f"must be {self.least:g} or more")
            return value

        convert.__name__ = kind.__name__  # named in argparse's message for a word that does not convert
        return convert


def flag(
    text: str,
    kind: Callable[[str], Any] | None = None,
    *,
    least: float | None = None,
    choices: Sequence[str] | None = None,
) -> dict[str, Flag]:
    """Metadata of a dataclass field that is an option. kind: converts a word; None for the type of the default."""
    return {"flag": Flag(text, kind, least, tuple(choices) if choices else None)}


def add_options(parser: argparse.ArgumentParser, request: type[Any]) -> None:
    """Add an option for each field of the dataclass `request`."""
    for each in fields(request):
        each_flag: Flag = each.metadata["flag"]
        name = f"--{each.name.replace('_', '-')}"
        if isinstance(each.default, bool):
            parser.add_argument(name, action="store_true", help=each_flag.text)
            continue
        default = None if each.default is MISSING else each.default
        parser.add_argument(
            name,
            required=each.default is MISSING,
            default=default,
            type=each_flag.converter(default),
            choices=each_flag.choices,
            nargs="+" if isinstance(default, tuple) else None,
            metavar=None if each_flag.choices else _metavar(each_flag.kind or type(default)),
            help=each_flag.text if default in (None, ()) else f"{each_flag.text} (default: {_shown(default)})",
        )


def request_of(parsed: argparse.Namespace, request: type[T]) -> T:
    """The request with the parsed values."""
    values = {each.name: getattr(parsed, each.name) for each in fields(request)}  # type: ignore[arg-type]
    return request(**{name: tuple(value) if isinstance(value, list) else value for name, value in values.items()})


def _metavar(kind: Callable[[str], Any]) -> str:
    return "N" if kind in (int, float) else "NAME" if kind is str else "DIR"


def _shown(default: object) -> str:
    return " ".join(map(str, default)) if isinstance(default, tuple) else str(default)
