"""How a command chooses between a service and the embedded store."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from api.cli.service import backend_of
from api.settings import BadSettings
from tests.api.clients.python.scripted_server import Reply, scripted
from tests.processes import free_port


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home folder. REMEMBRANCER_PORT names a port at which no service runs."""
    for name in ("REMEMBRANCER_URL", "REMEMBRANCER_DATA_DIR", "REMEMBRANCER_KEY", "XDG_DATA_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("REMEMBRANCER_PORT", str(free_port()))
    return tmp_path


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The URL of a server that answers like a service. REMEMBRANCER_PORT names its port."""
    with scripted(Reply(200, {})) as server:
        monkeypatch.setenv("REMEMBRANCER_PORT", server.url.rpartition(":")[2])
        yield server.url


def test_a_command_without_url_or_folder_uses_the_running_service(
    service: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert backend_of(None, None, "key").url == service
    assert f"using the service at {service}" in capsys.readouterr().err


def test_a_command_without_url_or_folder_uses_the_store_if_no_service_runs(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without a URL or data directory a command uses the embedded store if no service runs.

    It prints the store's folder, so that the user notices if it is the wrong folder.
    """
    backend = backend_of(None, None, None)
    assert (backend.url, backend.settings.data_dir.is_relative_to(home)) == (None, True)
    assert (
        f"using the store in {backend.settings.data_dir}, as no service runs at"
        in capsys.readouterr().err
    )


def test_a_command_with_a_folder_or_tenant_uses_the_store(
    service: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If a data directory (by flag or variable) or a tenant is given, a command uses the embedded
    store.

    The flag of the data directory takes precedence over REMEMBRANCER_URL, but not over --url.
    """
    assert backend_of(None, None, None, "acme").url is None
    monkeypatch.setenv("REMEMBRANCER_URL", service)
    assert backend_of(home / "data", service, None).url is None
    assert backend_of(home / "data", "http://127.0.0.1:1", None).url == "http://127.0.0.1:1"
    monkeypatch.setenv("REMEMBRANCER_DATA_DIR", str(home / "data"))
    assert backend_of(None, None, None).url is None


def test_a_key_without_a_service_is_refused() -> None:
    """A key is refused if the command uses the embedded store, which has no keys."""
    with pytest.raises(BadSettings, match="--key goes with a service"):
        backend_of(None, None, "key")
