"""Formats of vendors' tokens, and names of secrets (such as "password"), read from rules.jsonl.

The formats follow the rules of gitleaks as shipped in llm-guard, with lengths relaxed to lower
bounds, and the vendors' own documentation. Licences: LICENSES.txt.
"""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any

import re2


def compile_re2(pattern: str) -> Any:
    """`pattern` compiled by RE2. Raises re2.error if it is invalid."""
    options = re2.Options()
    options.log_errors = False
    return re2.compile(pattern, options=options)


_LINES = [
    json.loads(line)
    for line in files("ingest.screening.redaction")
    .joinpath("rules.jsonl")
    .read_text("utf-8")
    .splitlines()
]

_VENDORS = [name for line in _LINES for name in line.get("vendors", ())]
_NAMES = next(line["names"] for line in _LINES if "names" in line)

FORMATS: tuple[tuple[str, tuple[str, ...], str], ...] = tuple(
    (line["kind"], tuple(line["literals"]), line["regex"]) for line in _LINES if "regex" in line
)
"""Kind, literals and regex of each format. A text that the regex matches has one of the literals,
in lower case.
"""

NAMES: dict[str, str] = {
    family: "|".join((*names, *_VENDORS)) if family == "weak" else "|".join(names)
    for family, names in _NAMES.items()
}
"""For each family of names of secrets (password, token, weak), a regex for its names in many
languages.

Weak names, such as "login" or a vendor's name, often stand near harmless words.
"""
