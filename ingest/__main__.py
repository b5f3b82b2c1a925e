"""`python -m ingest PATH...`: the same as `remembrancer ingest`."""

from __future__ import annotations

from api.cli.entry import ingest_main

if __name__ == "__main__":
    ingest_main()
