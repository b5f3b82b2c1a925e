"""Makes command-line options from the fields of a frozen dataclass, such as `--limit-queries` from
`limit_queries`.

Each field has metadata made by `flag`. The parsed values are returned as an instance of the
dataclass.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, fields
from typing import Any, TypeVar

T = TypeVar("T")


def flag(
    text: str,
    kind: Callable[[str], Any] | None = None,
    *,
    least: float | None = None,
    choices: Sequence[str] | None = None,
) -> Mapping[str, Any]:
    """Metadata for a dataclass field that becomes a command-line option.

    text: help text. kind: function that converts the argument; None for the type of the field's
    default. least: minimum of a number. choices: allowed arguments.
    """
    return {"text": text, "kind": kind, "least": least, "choices": choices}


def add_options(parser: argparse.ArgumentParser, request: type[Any]) -> None:
    """Add an option to `parser` for each field of the dataclass `request`, such as `--rounds` for
    `rounds`.
    """
    for option in fields(request):
        name = f"--{option.name.replace('_', '-')}"
        text = option.metadata["text"]
        choices = option.metadata["choices"]
        if isinstance(option.default, bool):
            parser.add_argument(name, action="store_true", help=text)
            continue
        default = None if option.default is MISSING else option.default
        kind = option.metadata["kind"] or type(default)
        shown = " ".join(map(str, default)) if isinstance(default, tuple) else default
        parser.add_argument(
            name,
            required=option.default is MISSING,
            default=default,
            type=_converter(kind, option.metadata["least"]),
            choices=choices,
            nargs="+" if isinstance(default, tuple) else None,
            metavar=None
            if choices
            else "N"
            if kind in (int, float)
            else "NAME"
            if kind is str
            else "DIR",
            help=text if default in (None, ()) else f"{text} (default: {shown})",
        )


def _converter(kind: Any, least: float | None) -> Callable[[str], Any]:

    def convert(word: str) -> Any:
        value = kind(word)
        if least is not None and value < least:
            raise argparse.ArgumentTypeError(f"must be {least:g} or more")
        return value

    convert.__name__ = kind.__name__  # named in argparse's message for a word that does not convert
    return convert


def request_of(parsed: argparse.Namespace, request: type[T]) -> T:
    """An instance of the dataclass `request` with the option values in `parsed`."""
    options = fields(request)  # type: ignore[arg-type]
    values = {option.name: getattr(parsed, option.name) for option in options}
    return request(
        **{
            name: tuple(value) if isinstance(value, list) else value
            for name, value in values.items()
        }
    )
