"""The Python client's distribution: its files, its imports and its dependencies."""

from __future__ import annotations

import ast
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

CLIENT = Path(__file__).parents[4] / "api" / "clients" / "python"
PACKAGE = CLIENT / "remembrancer_client"
ADAPTERS = {
    "agent_framework",
    "anthropic",
    "google_adk",
    "langchain",
    "langgraph",
    "llama_index",
    "openai_agents",
    "pydantic_ai",
}
"""Modules that import a framework; each has an extra of its name."""


def imported(module: Path) -> set[str]:
    """Top-level names of the packages that a module imports."""
    names = set()
    for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add((node.module or "").partition(".")[0])
    return names


@pytest.mark.parametrize(
    "module", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE))
)
def test_the_client_imports_httpx_and_msgspec_only(module: Path) -> None:
    """Each module imports only httpx, msgspec, the standard library and the package itself.

    An adapter also imports its framework.
    """
    others = imported(module) - sys.stdlib_module_names - {"remembrancer_client"}
    allowed = {"httpx", "msgspec", "typing_extensions"}  # the last one for type checkers only
    assert others <= allowed or module.stem in ADAPTERS


def test_the_distribution_requires_httpx_and_msgspec_only() -> None:
    """The package requires only httpx and msgspec. Each adapter's framework is an optional extra.

    The package contains a licence, a README and the marker of typed packages.
    """
    project = tomllib.loads((CLIENT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert [name.partition(">")[0] for name in project["dependencies"]] == ["httpx", "msgspec"]
    assert {extra.replace("-", "_") for extra in project["optional-dependencies"]} >= ADAPTERS
    assert all(
        (CLIENT / name).exists()
        for name in ("LICENSE", "README.md", "remembrancer_client/py.typed")
    )
    assert (CLIENT / "LICENSE").read_text() == (CLIENT.parents[2] / "LICENSE").read_text()


def test_importing_the_client_loads_neither_the_service_nor_a_framework(tmp_path: Path) -> None:
    names = "{name.partition('.')[0] for name in sys.modules}"
    program = (
        f"import sys; before = {names}; import remembrancer_client; print(*({names} - before))"
    )
    command = [sys.executable, "-c", program]
    environment = {"PYTHONPATH": str(CLIENT)}
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
    )
    loaded = set(done.stdout.split())
    assert "remembrancer_client" in loaded
    assert (
        loaded & {"api", "memtypes", "ingest", "retrieval", "litestar", "pydantic", *ADAPTERS}
        == set()
    )
