"""The page of capabilities: every test, call, command and setting that it names exists."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import NamedTuple

import pytest

from api.cli.entry import COMMANDS
from api.http import openapi
from api.http.app import create_app
from api.settings import BARE_NAMES, PREFIX, Settings
from tests.api.conftest import NOW
from tests.api.fake_services import fake_services

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "capabilities.md"

COUNT = 156
"""The least number of rows: so many capabilities were asked for."""


class Row(NamedTuple):
    """A row of the page. calls, tests: the texts in backticks in its columns."""

    capability: str
    calls: tuple[str, ...]
    tests: tuple[str, ...]


def rows() -> list[Row]:
    """The rows of all tables of the page, without their headings."""
    cells = [
        [cell.strip() for cell in line.strip("|").split(" | ")]
        for line in PAGE.read_text(encoding="utf-8").splitlines()
        if line.startswith("|") and not line.startswith(("|---", "| capability"))
    ]
    assert all(len(row) == 3 for row in cells), "a row has three columns"
    return [
        Row(
            capability, tuple(re.findall("`([^`]+)`", calls)), tuple(re.findall("`([^`]+)`", tests))
        )
        for capability, calls, tests in cells
    ]


@pytest.fixture(scope="module")
def known_calls() -> set[str]:
    """Every call of the HTTP API, command and setting of the service, as the page writes them."""
    document = openapi.document(create_app(fake_services(lambda: NOW)))
    calls = {
        f"{method.upper()} {path}" for path, item in document["paths"].items() for method in item
    }
    commands = {f"remembrancer {name}" for name in COMMANDS}
    settings = {f"{PREFIX}{name.upper()}" for name in Settings.model_fields}
    return calls | commands | settings | set(BARE_NAMES)


def test_every_call_command_and_setting_of_the_page_exists(known_calls: set[str]) -> None:
    unknown = {call for row in rows() for call in row.calls} - known_calls
    assert not unknown


def test_every_test_of_the_page_exists() -> None:
    missing = []
    for path, name in (test.split("::") for row in rows() for test in row.tests):
        file = ROOT / path
        if not file.exists() or name not in _functions(file):
            missing.append(f"{path}::{name}")
    assert not missing


def _functions(file: Path) -> set[str]:
    tree = ast.parse(file.read_text(encoding="utf-8"))
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    return {node.name for node in ast.walk(tree) if isinstance(node, functions)}


def test_every_row_has_a_call_and_a_test() -> None:
    incomplete = [row.capability for row in rows() if not row.calls or not row.tests]
    assert not incomplete


def test_the_page_has_every_capability_once() -> None:
    capabilities = [row.capability for row in rows()]
    assert len(capabilities) >= COUNT
    assert len(set(capabilities)) == len(capabilities)
