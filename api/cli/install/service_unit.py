"""Writes, starts and stops a systemd user unit that starts the service at login."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

from api.cli.install.clients import config_folder, program_command
from api.cli.install.entries import WholeFile
from api.cli.install.files import SettingsFile
from api.settings import BadSettings, is_loopback

UNIT = "remembrancer.service"
_TIMEOUT_S = 30.0


def unit_file(url: str, data_dir: Path) -> SettingsFile:
    """The systemd unit for a service at `url` with its data in `data_dir`. Raises BadSettings unless `url` is local."""
    address = urlsplit(url)
    host = address.hostname or ""
    if address.scheme != "http" or not is_loopback(host):
        raise BadSettings(f"--service starts a service on this machine; {url} is elsewhere")
    options = ["--host", host, "--port", str(address.port or 80), "--data-dir", str(data_dir.absolute())]
    command = " ".join(map(_quoted, [*program_command(), "serve", *options]))
    return SettingsFile(config_folder() / "systemd" / "user" / UNIT, WholeFile(_UNIT.format(command=command)))


def check_systemd() -> None:
    """Raise BadSettings if this machine does not have systemd."""
    if shutil.which("systemctl") is None:
        raise BadSettings(
            f"--service needs systemd, which this machine ({sys.platform}) does not have; "
            "have `remembrancer serve` started at login by your system's own means, and leave out --service"
        )


def start_unit(*, running: bool) -> str | None:
    """Enable the service's unit, and start it unless `running`. Returns None, or systemd's message if it refuses."""
    return _systemctl("daemon-reload") or _systemctl("enable", *([] if running else ["--now"]), UNIT)


def stop_unit() -> str | None:
    """Stop and disable the service's unit. Returns None, or systemd's message if it refuses."""
    return _systemctl("disable", "--now", UNIT)


def _systemctl(*arguments: str) -> str | None:
    command = ["systemctl", "--user", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False)  # noqa: S603 - systemd's
    return None if done.returncode == 0 else (done.stderr.strip() or f"exit code {done.returncode}")


def _quoted(argument: str) -> str:
    """`argument` quoted for a unit's ExecStart line, with systemd's specifiers (%) and variables ($) escaped."""
    escaped = argument.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return f'"{escaped}"'


_UNIT = """\
[Unit]
Description=Remembrancer, a memory service for AI agents

[Service]
Type=exec
ExecStart={command}
Restart=on-failure
RestartSec=2
TimeoutStopSec=40

[Install]
WantedBy=default.target
"""
