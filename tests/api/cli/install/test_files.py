"""Installing entries into AI clients' settings files and removing them: exact, atomic, no changes
to other content.

An entry is a hook, an MCP server or a variable of this program.
"""

from __future__ import annotations

import json
import os
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.cli.install.clients import EVENTS, ClientName, Installation, files_of
from api.cli.install.files import SettingsFiles
from api.cli.install.text import MalformedSettings, parse_json
from tests.api.cli.install.test_text import INDENTS, VALUES

URL = "http://127.0.0.1:8707"
CLAUDE_CODE = Installation(ClientName.CLAUDE_CODE, None, URL)
CODEX = Installation(ClientName.CODEX, None, URL)
WITH_KEY = replace(CLAUDE_CODE, key="secret", authorised=True)


@contextmanager
def fresh_home() -> Iterator[tuple[Path, SettingsFiles]]:
    """An empty home folder, and the object that changes settings files in it.

    The object keeps its records (what to undo in each file) next to the home folder.
    """
    with TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        home = Path(folder) / "home"
        home.mkdir()
        patch.setenv("HOME", str(home))
        for name in ("CLAUDE_CONFIG_DIR", "CODEX_HOME", "XDG_CONFIG_HOME"):
            patch.delenv(name, raising=False)
        yield home, SettingsFiles(Path(folder) / "state" / "installed")


@pytest.fixture
def home() -> Iterator[Path]:
    """An empty home folder, in which the clients' settings files are written."""
    with fresh_home() as (home, _):
        yield home


@pytest.fixture
def files(home: Path) -> SettingsFiles:
    """The object that adds this program's entries to settings files below `home` and removes
    them.
    """
    return SettingsFiles(home.parent / "state" / "installed")


def installed(files: SettingsFiles, installation: Installation) -> list[str]:
    """Add the entries of `wanted` to its settings files; return for each file what happened, such
    as "created".
    """
    changes = [files.plan_install(file) for file in files_of(installation)]
    for change in changes:
        files.apply(change)
    return [change.kind for change in changes]


def uninstalled(files: SettingsFiles, installation: Installation) -> list[str]:
    """Remove the entries of `wanted` from its settings files; return for each file what happened,
    such as "removed".
    """
    changes = [files.plan_uninstall(file) for file in files_of(replace(installation, key=None))]
    for change in changes:
        files.apply(change)
    return [change.kind for change in changes]


def tree(folder: Path) -> dict[str, tuple[bytes | None, int]]:
    """Bytes (None for a folder) and mode of each file and folder below `folder`, by relative
    path.
    """
    return {
        str(path.relative_to(folder)): (
            path.read_bytes() if path.is_file() else None,
            path.stat().st_mode,
        )
        for path in folder.rglob("*")
    }


GROUPS = st.fixed_dictionaries(
    {"hooks": st.lists(st.fixed_dictionaries({"type": st.just("command")}), max_size=2)}
)
FOREIGN = st.fixed_dictionaries(
    {},
    optional={
        "hooks": st.dictionaries(
            st.sampled_from([*EVENTS, "PreToolUse"]), st.lists(GROUPS | VALUES, max_size=3)
        ),
        "mcpServers": st.dictionaries(
            st.sampled_from(["remembrancer", "other"]), VALUES, max_size=2
        ),
        "env": st.dictionaries(
            st.sampled_from(["REMEMBRANCER_KEY", "PATH"]), st.text(max_size=4), max_size=2
        ),
        "enabledMcpjsonServers": st.lists(st.sampled_from(["a", "b"]), max_size=2),
        "x": VALUES,
    },
)
TARGETS = st.sampled_from(
    [CLAUDE_CODE, WITH_KEY, CODEX, replace(CLAUDE_CODE, client=ClientName.CURSOR)]
)


@given(target=TARGETS, local=st.booleans(), first=FOREIGN, second=FOREIGN, indent=INDENTS)
def test_uninstall_restores_every_byte(
    target: Installation, *, local: bool, first: Any, second: Any, indent: Any
) -> None:
    """After two installs and an uninstall, every file and folder is as it was before."""
    with fresh_home() as (home, files):
        installation = replace(target, project=home, namespace="n", key=None) if local else target
        settings = [file.path for file in files_of(installation) if file.path.suffix == ".json"]
        foreign = dict(zip(settings, (first, second), strict=False))
        for path, members in foreign.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(members, indent=indent))
        before = tree(home)
        installed(files, installation)
        for path, members in foreign.items():
            assert_foreign_members_stay(members, parse_json(path.read_text()))
        assert set(installed(files, installation)) == {"unchanged"}
        uninstalled(files, installation)
        assert tree(home) == before
        assert not (home.parent / "state").exists()


def assert_foreign_members_stay(before: Any, after: Any) -> None:
    """Check that `after` has everything in `before` except the entries of `install`, with arrays in
    the same order.
    """
    for name, value in before.items():
        if name == "hooks":
            for event, groups in value.items():
                assert after["hooks"][event][: len(groups)] == groups
        elif name in {"mcpServers", "env"}:
            ours = {"remembrancer", "REMEMBRANCER_KEY"}
            assert {key: after[name][key] for key in value.keys() - ours} == {
                key: value[key] for key in value.keys() - ours
            }
        elif name == "enabledMcpjsonServers":
            assert after[name][: len(value)] == value
        else:
            assert after[name] == value


TOML = st.sampled_from(
    [
        "",
        'model = "x"',
        '# mine\nmodel = "x" # y\n',
        '[mcp_servers.other]\ncommand = "o"\n',
        (
            '[mcp_servers]\n[mcp_servers.other]\ncommand = "o"\n\n# '
            'trusted\n[projects."/p"]\ntrust_level = "trusted"\n'
        ),
        (
            '[mcp_servers.remembrancer]\nurl = "http://old"\n[mcp_servers.remembrancer.env]\nA '
            '= "b"\n\n[x]\ny = [\n  1,\n]\n'
        ),
        'a = """\n[mcp_servers.other]\n"""\n',
        'model = "x"\r\n\r\n[tui]\r\nnotifications = true\r\n',
    ]
)


def test_an_integer_of_too_many_digits_is_refused(home: Path, files: SettingsFiles) -> None:
    """Codex's config.toml with an integer of more digits than Python converts is refused by name,
    not by a crash.
    """
    path = home / ".codex" / "config.toml"
    path.parent.mkdir()
    path.write_text("a = " + "7" * 5_000)
    with pytest.raises(
        MalformedSettings, match=r"config\.toml: it has an integer of more digits than can be read"
    ):
        installed(files, CODEX)


@given(TOML)
def test_codex_configuration_is_restored(text: str) -> None:
    """`install` adds a table for the MCP server to Codex's config.toml and changes no other
    setting.

    Uninstalling restores the file byte by byte, comments included.
    """
    with fresh_home() as (home, files):
        path = home / ".codex" / "config.toml"
        path.parent.mkdir()
        path.write_bytes(text.encode())
        installed(files, CODEX)
        after = tomllib.loads(path.read_bytes().decode())
        before = tomllib.loads(text)
        assert after["mcp_servers"]["remembrancer"]["args"] == ["mcp", "--url", URL]
        assert {name: after[name] for name in before if name != "mcp_servers"} == {
            name: before[name] for name in before if name != "mcp_servers"
        }
        assert set(installed(files, CODEX)) == {"unchanged"}
        uninstalled(files, CODEX)
        assert path.read_bytes() == text.encode()


@pytest.mark.parametrize("value", ["5", "[]"])
def test_codex_servers_that_are_no_table_are_refused(
    home: Path, files: SettingsFiles, value: str
) -> None:
    """If Codex's `mcp_servers` is no table, `install` fails with an error that names config.toml,
    which stays.
    """
    path = home / ".codex" / "config.toml"
    path.parent.mkdir()
    path.write_text(f"mcp_servers = {value}\n")
    with pytest.raises(
        MalformedSettings,
        match=r"config.toml: mcp_servers.remembrancer can't be edited where it is",
    ):
        installed(files, CODEX)
    assert path.read_text() == f"mcp_servers = {value}\n"


def test_codex_table_is_removed_after_codex_added_another(home: Path, files: SettingsFiles) -> None:
    """If Codex added a table to config.toml after the installed one, uninstalling keeps that table
    and its comment.
    """
    installed(files, CODEX)
    path = home / ".codex" / "config.toml"
    added = '\n# trusted\n[projects."/p"]\ntrust_level = "trusted"\n'
    path.write_text(path.read_text() + added)
    uninstalled(files, CODEX)
    assert path.read_text() == added


def test_codex_servers_in_an_inline_table_are_refused_and_untouched(
    home: Path, files: SettingsFiles
) -> None:
    """If Codex's config.toml has its MCP servers in an inline table, `install` fails and changes no
    file.

    The error asks the user to write a table `[mcp_servers.remembrancer]`.
    """
    path = home / ".codex" / "config.toml"
    path.parent.mkdir()
    path.write_text('mcp_servers = {other = {command = "o"}}\n')
    before = tree(home)
    with pytest.raises(
        MalformedSettings, match=r"write it as a table \[mcp_servers.remembrancer\]"
    ):
        installed(files, CODEX)
    assert tree(home) == before


def test_uninstall_keeps_what_the_client_changed_since(home: Path, files: SettingsFiles) -> None:
    """Uninstalling removes only the installed entries and restores the entries that they replaced.

    Changes that the client has made since stay.
    """
    path = home / ".claude.json"
    old = {"type": "http", "url": "http://old"}
    path.write_text(json.dumps({"mcpServers": {"remembrancer": old}, "numStartups": 1}))
    installed(files, CLAUDE_CODE)
    path.write_text(json.dumps(parse_json(path.read_text()) | {"numStartups": 2}, indent=4))
    uninstalled(files, CLAUDE_CODE)
    assert parse_json(path.read_text()) == {"mcpServers": {"remembrancer": old}, "numStartups": 2}


def test_file_that_was_created_and_changed_since_keeps_only_the_change(
    home: Path, files: SettingsFiles
) -> None:
    """In a settings file that `install` created, uninstalling leaves only what the client has added
    since.
    """
    installed(files, CLAUDE_CODE)
    path = home / ".claude.json"
    path.write_text(json.dumps(parse_json(path.read_text()) | {"numStartups": 2}))
    uninstalled(files, CLAUDE_CODE)
    assert parse_json(path.read_text()) == {"numStartups": 2}
    assert not (home / ".claude").exists()


def test_handler_that_somebody_added_to_our_hook_group_stays(
    home: Path, files: SettingsFiles
) -> None:
    """Uninstalling keeps a hook that the user added to the hook group that `install` created."""
    installed(files, CLAUDE_CODE)
    path = home / ".claude" / "settings.json"
    members = parse_json(path.read_text())
    foreign = {"type": "command", "command": "say done"}
    members["hooks"]["Stop"][0]["hooks"].append(foreign)
    path.write_text(json.dumps(members))
    uninstalled(files, CLAUDE_CODE)
    assert parse_json(path.read_text()) == {"hooks": {"Stop": [{"hooks": [foreign]}]}}


@pytest.mark.parametrize("handlers", [[{"type": "command", "command": "say done"}], 5])
def test_foreign_hook_group_that_mentions_this_program_stays(
    home: Path, files: SettingsFiles, handlers: Any
) -> None:
    """Uninstalling keeps a hook group of the user whose matcher, but none of whose hooks, names
    this program's path.
    """
    foreign = {"hooks": {"Stop": [{"matcher": "/v1/hooks/claude-code", "hooks": handlers}]}}
    path = home / ".claude" / "settings.json"
    path.parent.mkdir()
    path.write_text(json.dumps(foreign))
    installed(files, CLAUDE_CODE)
    path.write_text(path.read_text() + "\n")
    uninstalled(files, CLAUDE_CODE)
    assert parse_json(path.read_text()) == foreign


def test_entries_of_an_earlier_install_are_replaced(home: Path, files: SettingsFiles) -> None:
    """Installing with another URL replaces every entry with the old URL.

    This holds even if the record of the earlier installation is lost.
    """
    installed(SettingsFiles(home.parent / "lost"), replace(CLAUDE_CODE, url="http://127.0.0.1:1"))
    installed(files, CLAUDE_CODE)
    text = (home / ".claude" / "settings.json").read_text() + (home / ".claude.json").read_text()
    assert "127.0.0.1:1/" not in text
    assert text.count(URL) == len(EVENTS) + 1


@pytest.mark.parametrize(
    "text", ['{"a": 1', "[1]", '{"hooks": []}', '{"hooks": {"Stop": {}}}', "\xff"]
)
def test_malformed_settings_are_refused_and_untouched(
    home: Path, files: SettingsFiles, text: str
) -> None:
    """If a client's settings file is malformed, `install` fails with an error that names it and
    changes no file.
    """
    path = home / ".claude" / "settings.json"
    path.parent.mkdir()
    path.write_bytes(text.encode("latin-1"))
    before = tree(home)
    with pytest.raises(MalformedSettings, match=r"settings.json: .*; it was left as it is"):
        installed(files, CLAUDE_CODE)
    assert tree(home) == before


def test_change_by_another_program_meanwhile_is_not_overwritten(
    home: Path, files: SettingsFiles
) -> None:
    """If a client changes its settings file after `install` has read it, `install` fails and the
    change stays.

    The error asks the user to run the command again.
    """
    path = home / ".claude.json"
    path.write_text("{}")
    changes = [files.plan_install(file) for file in files_of(CLAUDE_CODE)]
    path.write_text('{"numStartups": 1}')
    with pytest.raises(MalformedSettings, match="run the command again"):
        files.apply(changes[1])
    assert path.read_text() == '{"numStartups": 1}'


def test_links_and_modes_stay_and_a_key_makes_a_file_private(
    home: Path, files: SettingsFiles
) -> None:
    """A symbolic link stays a link and its target is changed. A file with a key becomes readable by
    its owner only.
    """
    real = home / "dotfiles" / "settings.json"
    real.parent.mkdir()
    real.write_text("{}")
    real.chmod(0o640)
    link = home / ".claude" / "settings.json"
    link.parent.mkdir()
    link.symlink_to(real)
    installed(files, WITH_KEY)
    assert link.is_symlink()
    assert parse_json(real.read_text())["env"] == {"REMEMBRANCER_KEY": "secret"}
    assert real.stat().st_mode & 0o777 == 0o600
    uninstalled(files, WITH_KEY)
    assert (real.read_text(), real.stat().st_mode & 0o777) == ("{}", 0o640)


def test_write_that_fails_leaves_the_old_file(
    home: Path, files: SettingsFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the disk is full, the old settings stay and no temporary file is left."""
    path = home / ".claude.json"
    path.write_text('{"a": 1}')
    change = files.plan_install(files_of(CLAUDE_CODE)[1])

    def fail(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(MalformedSettings, match="No space left"):
        files.apply(change)
    assert [name.name for name in home.iterdir()] == [".claude.json"]
    assert path.read_text() == '{"a": 1}'


def test_uninstall_fails_with_a_damaged_record_and_works_without_it(
    home: Path, files: SettingsFiles
) -> None:
    """If the record of an installation is damaged, uninstalling fails and asks the user to remove
    the record.

    Without the record, uninstalling still removes the installed entries.
    """
    installed(files, CODEX)
    records = list((home.parent / "state" / "installed").iterdir())
    for record in records:
        record.write_text("{")
    with pytest.raises(MalformedSettings, match="is damaged; remove that"):
        uninstalled(files, CODEX)
    for record in records:
        record.unlink()
    uninstalled(files, CODEX)
    assert "emembrancer" not in "".join(
        path.read_text() for path in home.rglob("*") if path.is_file()
    )
