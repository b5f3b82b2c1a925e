"""`python -m ingest PATH...`: hands over to the command line, which is where stores and encoders are wired."""

from __future__ import annotations

from api.cli.entry import ingest_main

if __name__ == "__main__":
    ingest_main()
