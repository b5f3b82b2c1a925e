"""Entry point of `python -m ingest PATH...`, which runs the installed `remembrancer ingest`."""

from __future__ import annotations

import sys
from importlib.metadata import entry_points

if __name__ == "__main__":
    # The command is wired above this package, so it is looked up and not imported.
    (command,) = entry_points(group="console_scripts", name="remembrancer")
    sys.argv.insert(1, "ingest")
    command.load()()
