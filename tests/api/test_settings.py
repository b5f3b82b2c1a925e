"""Settings: their sources and validation, and their table in the documentation."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from api.settings import BadSettings, Settings, read_settings, settings_table
from api.wiring.services import open_services

PAGE = Path(__file__).parents[2] / "docs" / "settings.md"


@pytest.fixture(autouse=True)
def _no_settings_around(monkeypatch: pytest.MonkeyPatch) -> None:
    """Remove the service's settings variables from the environment."""
    for name in Settings.model_fields:
        monkeypatch.delenv(f"REMEMBRANCER_{name.upper()}", raising=False)
    for variable, _ in BARE:
        monkeypatch.delenv(variable, raising=False)


def test_defaults_listen_on_loopback() -> None:
    """Host, port, keys and directories have the documented defaults."""
    settings = read_settings()
    assert (settings.host, settings.port, settings.keys, settings.embedder) == (
        "127.0.0.1",
        8707,
        None,
        "onnx",
    )
    assert settings.store_path == settings.data_dir / "memories"
    assert settings.encoder_path == settings.data_dir / "encoder"


def test_flags_override_variables(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("REMEMBRANCER_PORT", "9001")
    monkeypatch.setenv("REMEMBRANCER_HOST", "::1")
    monkeypatch.setenv("REMEMBRANCER_ENCODER_DIR", str(tmp_path))
    settings = read_settings({"port": 9002, "host": None})
    assert (settings.port, settings.host, settings.encoder_path) == (9002, "::1", tmp_path)


def test_data_folder_follows_xdg_data_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert read_settings().data_dir == tmp_path / "remembrancer"
    monkeypatch.delenv("XDG_DATA_HOME")
    assert read_settings().data_dir == Path.home() / ".remembrancer"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "http"),
        ("PORT", "70000"),
        ("EMBEDDER", "magic"),
        ("CANDIDATE_DEPTH", "1"),
        ("LOG_LEVEL", "loud"),
    ],
)
def test_invalid_setting_is_named(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    """The error for an invalid setting names its variable, and its flag if the command has one."""
    monkeypatch.setenv(f"REMEMBRANCER_{name}", value)
    with pytest.raises(BadSettings, match=f"^REMEMBRANCER_{name}"):
        read_settings()
    with pytest.raises(
        BadSettings, match=f"^--{name.lower().replace('_', '-')} or REMEMBRANCER_{name}"
    ):
        read_settings({name.lower(): None})


@pytest.mark.parametrize("name", ["REVIEWER_URL", "SUMMARISER_URL", "QDRANT_URL"])
def test_addresses_of_servers_are_urls(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """A server address that is a bare host name is refused at start, not at the first call."""
    monkeypatch.setenv(f"REMEMBRANCER_{name}", "localhost:6333")
    with pytest.raises(
        BadSettings, match=f"REMEMBRANCER_{name}: String should match pattern '.https"
    ):
        read_settings()


def test_a_tilde_stands_for_the_home_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A leading `~` in a path setting stands for the home folder.

    Shells do not expand it in `--data-dir=~/x`, and environment variables may contain it.
    """
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("REMEMBRANCER_KEYS", "~/keys.json")
    settings = read_settings({"data_dir": Path("~/x")})
    assert (settings.data_dir, settings.keys) == (tmp_path / "x", tmp_path / "keys.json")


def test_secrets_are_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """The repr of the settings does not contain their secrets, such as the API key of Qdrant."""
    monkeypatch.setenv("REMEMBRANCER_QDRANT_API_KEY", "hidden-value")
    assert "hidden-value" not in repr(read_settings())


def test_variables_for_clients_and_tests_are_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Variables that begin with REMEMBRANCER_ but are for clients or tests, such as
    REMEMBRANCER_URL, are allowed.
    """
    for name in ("KEY", "URL", "NAMESPACE", "TEST_ANYTHING"):
        monkeypatch.setenv(f"REMEMBRANCER_{name}", "x")
    read_settings()


BARE = [
    ("WORKFLOW_TTL_HOURS", "workflow_ttl_hours"),
    ("CONVERSATION_TIMEOUT_HOURS", "thread_ttl_hours"),
]


@pytest.mark.parametrize(("variable", "name"), BARE)
def test_a_bare_name_sets_a_lifetime_unless_the_full_one_does(
    monkeypatch: pytest.MonkeyPatch, variable: str, name: str
) -> None:
    monkeypatch.setenv(variable, "1.5")
    assert getattr(read_settings(), name) == 1.5
    assert getattr(read_settings({name: 4}), name) == 4
    monkeypatch.setenv(f"REMEMBRANCER_{name.upper()}", "7")
    assert getattr(read_settings(), name) == 7


@pytest.mark.parametrize(("variable", "name"), BARE)
def test_an_invalid_value_of_a_bare_name_is_named(
    monkeypatch: pytest.MonkeyPatch, variable: str, name: str
) -> None:
    monkeypatch.setenv(variable, "soon")
    with pytest.raises(BadSettings, match=f"^{variable}: "):
        read_settings()
    monkeypatch.setenv(f"REMEMBRANCER_{name.upper()}", "late")
    with pytest.raises(BadSettings, match=f"^REMEMBRANCER_{name.upper()}: "):
        read_settings()


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("WORKFLOW_TTL_HOUR", "did you mean REMEMBRANCER_WORKFLOW_TTL_HOURS?"),
        ("PROT", "did you mean REMEMBRANCER_PORT?"),
        ("QDRANT_KEY", "did you mean REMEMBRANCER_QDRANT_API_KEY?"),
        ("FOO", "unset it; `remembrancer settings` lists all"),
        ("TIMEOUT", "unset it; `remembrancer settings` lists all"),
    ],
)
def test_unknown_variable_is_refused_with_a_suggestion_only_if_a_setting_is_close(
    monkeypatch: pytest.MonkeyPatch, name: str, advice: str
) -> None:
    monkeypatch.setenv(f"REMEMBRANCER_{name}", "1")
    with pytest.raises(
        BadSettings, match=rf"^REMEMBRANCER_{name} is not a setting: {re.escape(advice)}$"
    ):
        read_settings()


def test_table_lists_every_setting() -> None:
    rows = settings_table().splitlines()[2:]
    assert len(rows) == len(Settings.model_fields)
    assert all(field.description for field in Settings.model_fields.values())
    assert str(Path.home()) not in settings_table()


def test_the_documentation_has_the_settings_table() -> None:
    """The table of settings in docs/settings.md is the one that the program generates."""
    _, found, rest = PAGE.read_text().partition("<!-- settings -->")
    assert found
    assert rest.partition("<!-- /settings -->")[0].strip() == settings_table()


@pytest.mark.anyio
async def test_data_folder_that_cannot_be_created_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(
        BadSettings, match=r"data folder .*file/x cannot be used: Not a directory; choose another"
    ):
        async with open_services(Settings(data_dir=tmp_path / "file" / "x")):
            pytest.fail("it was opened")


@pytest.mark.anyio
@pytest.mark.skipif(
    sys.platform != "linux", reason="has no folder in which root can make no file either"
)
async def test_data_folder_that_cannot_be_written_is_named() -> None:
    """A read-only data directory is an error before any store is opened."""
    with pytest.raises(BadSettings, match=r"data folder /proc cannot be used: .+; choose another"):
        async with open_services(Settings(data_dir=Path("/proc"))):
            pytest.fail("it was opened")
