"""Pytest hooks and fixtures for the tests of all packages."""

from __future__ import annotations

import functools
import gc
import os
import sys
import threading
from collections import Counter
from collections.abc import AsyncIterator, Generator, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import pytest
from hypothesis import settings

from memtypes.encoders import tiktoken
from memtypes.encoders.reader import READER
from memtypes.encoders.setup.prepare import prepare
from memtypes.encoders.setup.prepare_reader import fingerprint
from memtypes.stores.redis.connection.client import LiveClient
from tests.live import client_of, running_server
from tests.servers import free_ports, packaged_server, running, running_cluster

settings.register_profile("untimed", deadline=None)  # a busy machine is no reason to fail
settings.load_profile("untimed")


@contextmanager
def unmeasured() -> Iterator[None]:
    """Coverage is not measured inside this context, because measuring nearly doubles the time of a
    test.

    pytest-cov's marker `no_cover` does the same for a test, but not in the workers of pytest-xdist.
    """
    current = sys.gettrace()
    threads = threading.gettrace()
    sys.settrace(None)
    threading.settrace(None)
    try:
        yield
    finally:
        sys.settrace(current)
        threading.settrace(threads)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Collect tests without garbage collection, and measure the coverage of imports in one worker
    only.

    Every worker imports the same modules. Modules and tests stay until the end, so they are
    excluded from garbage collection for good, which saves seconds in each worker.
    """
    gc.disable()
    try:
        with (
            nullcontext() if os.environ.get("PYTEST_XDIST_WORKER", "gw0") == "gw0" else unmeasured()
        ):
            return (yield)
    finally:
        gc.freeze()
        gc.enable()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """In a worker of pytest-xdist, run files with many slow tests first. No worker then ends long
    after the others.
    """
    if hasattr(config, "workerinput"):
        slow = Counter(item.path for item in items if item.get_closest_marker("slow"))
        items.sort(key=lambda item: -slow[item.path])


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Run property tests and slow tests without measuring coverage, as other tests cover nearly all
    of their lines.
    """
    generated = getattr(getattr(item, "obj", None), "is_hypothesis_test", False)
    with unmeasured() if generated or item.get_closest_marker("slow") else nullcontext():
        return (yield)


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """End the run with one line that says how many tests were skipped, and why."""
    reports = terminalreporter.stats.get("skipped", [])
    reasons = Counter(str(report.longrepr[-1]).removeprefix("Skipped: ") for report in reports)
    skipped = "; ".join(f"{count} ({reason})" for reason, count in reasons.most_common())
    terminalreporter.write_line(f"Skipped tests: {skipped or 'none'}.")


@pytest.fixture(scope="session", autouse=True)
def encodings() -> Iterator[None]:
    """Each encoding of tiktoken is built once in a worker, as building takes a quarter of a
    second.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tiktoken, "_encoding", functools.cache(tiktoken._encoding))
        yield


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """The name of the event loop on which all async tests run."""
    return "asyncio"


# Not longer: its event loop would be in the way of tests that run one of their own
@pytest.fixture(scope="module")
async def live(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[LiveClient]:
    """A client of a real Redis server of live state, shared by tests; each test uses its own
    scope.
    """
    async with running_server(tmp_path_factory.mktemp("live")) as client:
        yield client


@pytest.fixture(scope="session")
def cluster_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """URL of a running Redis cluster of three nodes."""
    with running_cluster(tmp_path_factory.mktemp("cluster")) as nodes:
        yield f"redis+cluster://127.0.0.1:{nodes[0].port}"


@pytest.fixture(scope="session")
def packaged_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """URL of a redis-server installed from a package, such as Debian's 7.0.

    Version 7.0 is the oldest supported version.
    """
    binary = packaged_server()
    if binary is None:
        pytest.skip("no redis-server: install one, or set REDIS_TEST_BINARY to its path")
    (port,) = free_ports(1)
    with running(tmp_path_factory.mktemp("packaged") / "server", port, binary=binary):
        yield f"redis://127.0.0.1:{port}"


@pytest.fixture(scope="module")
async def live_cluster(cluster_url: str) -> AsyncIterator[LiveClient]:
    """A live client of the three-node Redis cluster."""
    async with client_of(cluster_url) as client:
        yield client


@pytest.fixture(scope="module")
async def live_packaged(packaged_url: str) -> AsyncIterator[LiveClient]:
    """A LiveClient connected to the redis-server of `packaged_url`, the oldest supported
    version.
    """
    async with client_of(packaged_url) as client:
        yield client


@pytest.fixture(scope="session")
def onnx_directory() -> Path:
    """Directory of the prepared default encoder: the installed one, or one that is built once and
    cached.
    """
    directory = Path(__file__).parent.parent / ".remembrancer" / "encoder"
    prepare(directory)
    return directory


@pytest.fixture(scope="session")
def reader_directory() -> Path:
    """Directory of the prepared reader. Tests that need it are skipped where it is missing, because
    its package may not be available.
    """
    directory = Path(__file__).parent.parent / ".remembrancer" / "reader"
    if READER.read_current(directory, fingerprint()) is None:
        pytest.skip(f"no reader of this version is prepared; {READER.command(directory)}")
    return directory
