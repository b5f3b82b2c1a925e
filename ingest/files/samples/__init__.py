"""Sample memories: a few weeks of a developer's work on an inventory service with a coding agent,
all made up.
"""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any


def sample_items() -> list[dict[str, Any]]:
    """The sample memories as items of POST /v1/memories/batch."""
    text = files(__name__).joinpath("memories.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]
