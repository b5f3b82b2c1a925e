"""A virtual environment a system, made where one is told to and never in the project's own. Knows pip and no system."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

REQUIREMENTS: Mapping[str, tuple[str, ...]] = {
    "exact": (),
    "chroma": ("chromadb",),
    "langgraph": ("langgraph", "numpy"),
    "txtai": ("txtai",),
    "mempalace": ("mempalace",),
    "mem0": ("mem0ai", "fastembed", "stop-words"),
}
"""What is installed for each; nothing for what runs in the project's own environment."""

CONSTRAINTS = ("torch==2.13.0",)
"""An open range of torch draws gigabytes of GPU libraries."""

_INSTALL_S = 900.0


class NotInstalled(Exception):
    """A system can't be installed here; the text is the last thing that the installation said."""


def interpreter(name: str, root: Path, wanted: Sequence[str]) -> Path:
    """The Python that has what is `wanted`, installed under `root` unless it is there. Raises NotInstalled."""
    if not wanted:
        return Path(sys.executable)
    home = root / name
    python, done = home / "bin" / "python", home / "installed"
    if done.is_file() and done.read_text(encoding="utf-8") == "\n".join(wanted):
        return python
    home.mkdir(parents=True, exist_ok=True)
    limits = home / "constraints.txt"
    limits.write_text("\n".join(CONSTRAINTS), encoding="utf-8")
    pip = [sys.executable, "-m", "pip", "--python", str(python), "--disable-pip-version-check"]
    _run([sys.executable, "-m", "venv", "--without-pip", str(home)])
    _run([*pip, "install", "-q", "-c", str(limits), *wanted])
    done.write_text("\n".join(wanted), encoding="utf-8")
    return python


def _run(command: Sequence[str]) -> None:
    try:
        subprocess.run(command, check=True, capture_output=True, text=True, timeout=_INSTALL_S)  # noqa: S603 - our own
    except subprocess.TimeoutExpired as error:
        raise NotInstalled(f"does not install within {_INSTALL_S:.0f} s") from error
    except subprocess.CalledProcessError as error:
        raise NotInstalled(f"does not install: {last_line(error.stderr)}") from error


def last_line(said: str) -> str:
    """The last error in `said`, or else its last line with a word in it, cut to what a table can show."""
    lines = [line.strip() for line in said.splitlines() if any(sign.isalpha() for sign in line)]
    errors = [line for line in lines if line.startswith("ERROR")]
    return (errors or lines or ["it said nothing"])[-1][:160]
