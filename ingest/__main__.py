"""Entry point of `python -m ingest PATH...`, which does the same as the command `remembrancer
ingest PATH...`.
"""

from __future__ import annotations

from api.cli.entry import ingest_main

if __name__ == "__main__":
    ingest_main()
