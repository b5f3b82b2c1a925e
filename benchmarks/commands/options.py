"""What the commands have in common: where their results go, and how a number is read."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

from benchmarks.apparatus.report import Report

Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"  # noqa: SLF001 - the type has no other name
Measure: TypeAlias = Callable[[argparse.Namespace, str], Report]
"""Given what was typed, as arguments and as a line, gives what it says."""


def command(commands: Commands, name: str, text: str, measure: Measure) -> argparse.ArgumentParser:
    """A new command, with the option that all have."""
    added = commands.add_parser(name, help=text, description=text, formatter_class=_WithDefaults)
    added.add_argument("--json", type=Path, metavar="FILE", help="write everything measured here")
    added.set_defaults(measure=measure)
    return added


def number(added: argparse.ArgumentParser, flag: str, default: int, said: str, least: int = 1) -> None:
    """Add an option that takes a whole number."""
    added.add_argument(flag, type=at_least(least), default=default, metavar="N", help=said)


def store(added: argparse.ArgumentParser, said: str = "keep the filled stores here for the next run") -> None:
    """Add the option that names where a store stays."""
    added.add_argument("--store", type=Path, metavar="DIR", help=said)


def at_least(least: int) -> Callable[[str], Any]:
    """Reads whole numbers from `least` on; argparse tells of others."""

    def whole(text: str) -> int:
        value = int(text)
        if value < least:
            raise argparse.ArgumentTypeError(f"needs a whole number from {least} on")
        return value

    return whole


class _WithDefaults(argparse.ArgumentDefaultsHelpFormatter):
    """Tells the default of what has one."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        return action.help if action.default in (None, False, []) else super()._get_help_string(action)
