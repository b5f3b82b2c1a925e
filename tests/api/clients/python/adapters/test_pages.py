"""The code blocks in the documentation about agent frameworks, run against a service."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[5]
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PAGES = ("langgraph.md", "frameworks.md")
BLOCKS = [
    block
    for page in PAGES
    for block in BLOCK.findall((ROOT / "docs" / page).read_text(encoding="utf-8"))
]

MY_APP = '''
"""The models of the examples, which answer without a network."""

from pydantic_ai.models.test import TestModel

from tests.api.clients.python.adapters.test_agent_framework import FakeClient
from tests.api.clients.python.adapters.test_openai_agents import EchoModel

pydantic_model = TestModel()
chat_client = FakeClient()
openai_model = EchoModel()
'''


def test_each_adapter_has_an_example() -> None:
    """Every adapter's module is imported by a code block in the documentation."""
    named = {
        name
        for block in BLOCKS
        for name in re.findall(r"from remembrancer_client\.(\w+) import", block)
    }
    adapters = {
        path.stem for path in (ROOT / "api/clients/python/remembrancer_client").glob("*_*.py")
    }
    assert named >= adapters - {"__init__"}
    assert len(named) == 8


@pytest.mark.parametrize(
    "block", BLOCKS, ids=lambda block: re.findall(r"remembrancer_client\.(\w+)", block)[0]
)
def test_the_example_of_an_adapter_runs(url: str, tmp_path: Path, block: str) -> None:
    """Each Python code block in the documentation of the adapters runs without an error and prints
    something.
    """
    (tmp_path / "my_app.py").write_text(MY_APP, encoding="utf-8")
    program = block.replace("http://127.0.0.1:8707", url)
    path = os.pathsep.join(map(str, (tmp_path, ROOT, ROOT / "api/clients/python")))
    environment = os.environ | {"PYTHONPATH": path, "OPENAI_AGENTS_DISABLE_TRACING": "1"}
    command = [sys.executable, "-c", program]
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()
