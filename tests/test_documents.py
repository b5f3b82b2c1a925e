"""Documentation tests: code blocks run, and every file and make target that a page names exists."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.processes import Process

ROOT = Path(__file__).parents[1]
FOLDERS = [path for path in ROOT.iterdir() if path.is_dir() and not path.name.startswith(".")]
PAGES = sorted([*ROOT.glob("*.md"), *(page for folder in FOLDERS for page in folder.rglob("*.md"))])
PACKAGES = "memtypes|ingest|retrieval|api|tests|benchmarks"
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FRAMEWORK_PAGES = {"frameworks.md", "langgraph.md"}
"""Pages whose Python blocks need the frameworks that they are about: `make adapters` runs them."""
PORT = "8707"
CONFIGURATION = {"CLAUDE_CONFIG_DIR", "CODEX_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME"}
"""Variables that would lead the blocks to the settings of whoever runs the tests."""


def blocks(language: str) -> Iterator[tuple[Path, str]]:
    """The code blocks in `language` on all pages of the documentation."""
    for page in PAGES:
        for name, text in BLOCK.findall(page.read_text(encoding="utf-8")):
            if name == language:
                yield page, text


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, onnx_directory: Path) -> Iterator[Process]:
    """A running service for the code blocks."""
    started = Process(tmp_path_factory.mktemp("documents"), onnx_directory)
    try:
        started.wait_until_ready()
        yield started
    finally:
        started.stop()


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home and working folder for the code blocks of a page."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    for name in CONFIGURATION:
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def run_shell(program: str, page: Path) -> str:
    """Run a shell block of the page and return its output. Fail with its error output if its exit
    code is not 0.
    """
    command = ["bash", "-euo", "pipefail", "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, f"{page.name}: {done.stderr or done.stdout}"
    return done.stdout


def programs(page: Path) -> list[tuple[str, str]]:
    """Language and text of the page's shell and Python blocks that run against a service."""
    languages = {"bash"} if page.name in FRAMEWORK_PAGES else {"bash", "python"}
    return [
        block for block in BLOCK.findall(page.read_text(encoding="utf-8")) if block[0] in languages
    ]


@pytest.mark.slow
@pytest.mark.parametrize(
    "page", [page for page in PAGES if programs(page)], ids=lambda page: str(page.relative_to(ROOT))
)
@pytest.mark.usefixtures("home")
def test_shell_and_python_blocks_run_in_order_against_a_service(
    page: Path, service: Process
) -> None:
    """Every shell and Python block of a page runs without an error, and no curl call in it gets a
    4xx answer.

    Python blocks run in this process, because starting an interpreter for each takes a second.
    """
    port = service.url.rpartition(":")[2]
    for language, text in programs(page):
        program = text.replace(PORT, port)
        if language == "bash":
            assert '"status":4' not in run_shell(program, page)
        else:
            # Our own pages
            exec(compile(program, page.name, "exec", dont_inherit=True), {"__name__": "__main__"})  # noqa: S102


def test_console_blocks_name_make_targets_that_exist() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    rules = re.findall(r"^([\w. -]+):", makefile, re.MULTILINE)
    targets = {target for rule in rules for target in rule.split()}
    named = {
        name
        for _, text in blocks("console")
        for name in re.findall(r"^\$? ?make ([\w-]+)", text, re.MULTILINE)
    }
    assert named
    assert named <= targets


def test_json_and_yaml_blocks_parse() -> None:
    """Every JSON and YAML code block of the documentation is valid."""
    for _, text in blocks("json"):
        json.loads(text)
    for _, text in blocks("yaml"):
        yaml.safe_load(text)


def test_files_named_in_the_documentation_exist() -> None:
    """Every repository path that a page puts in backticks or links to exists."""
    missing = []
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        paths = re.findall(rf"`((?:{PACKAGES})/[\w./-]+)`", text)
        missing += [f"{page.name}: {path}" for path in paths if not (ROOT / path).exists()]
        links = re.findall(r"\]\((?!https?:|#)([^)#]+)", text)
        missing += [f"{page.name}: {link}" for link in links if not (page.parent / link).exists()]
    assert not missing
