"""A receipt that was saved to a file, and its check away from any service."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from memtypes.model.errors import InvalidRequest
from memtypes.ports.receipts import canonical, digest
from retrieval.answer import Message
from retrieval.receipts.checks import Contents, verify
from retrieval.receipts.model import ReceiptVerdict

_CAPITAL_ESCAPE = re.compile(rb"\\u[0-9a-f]{0,3}[A-F]")


def read_receipt(raw: bytes) -> tuple[dict[str, Any], Contents]:
    """The receipt of a file and the contents beside it. Raises InvalidRequest for what is no receipt's JSON.

    Numbers and escapes must be written as a receipt writes them: another spelling of the same value is a change, too.
    """
    if _CAPITAL_ESCAPE.search(raw):
        raise InvalidRequest("an escape is written in capitals: the file was changed")
    try:
        value = json.loads(raw.decode(), parse_float=_number, parse_constant=_number, object_pairs_hook=_unique)
        canonical(value)  # half a character can be read, and not be hashed
    except (ValueError, RecursionError) as error:
        raise InvalidRequest(f"the file is not the JSON of a receipt: {error}") from error
    if not isinstance(value, dict):
        raise InvalidRequest("the file holds no receipt")
    return value, _contents(value.pop("contents", None) or {})


def verify_file(raw: bytes, counters: Callable[[Mapping[str, Any]], Callable[[str], int] | None]) -> ReceiptVerdict:
    """The verdict on a saved receipt. counters: what counts a receipt's entries, None where it is not at hand."""
    receipt, contents = read_receipt(raw)
    return verify(receipt, contents, counters(receipt))


def _number(text: str) -> float:
    value = float(text)
    if text not in (repr(value), canonical(value).decode()):  # Python's JSON writes small numbers otherwise than ours
        raise ValueError(f"the number {text[:40]} is not written as a receipt writes it")
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise ValueError("a key stands twice in one object")
    return made


def sealed_contents(members: Mapping[str, Any]) -> dict[str, Any]:
    """Contents as a file has them: with their own hash, for entries that the receipt has none of."""
    return {**members, "sha256": digest(canonical(members))}


def _contents(members: Any) -> Contents:
    if not isinstance(members, dict) or not members.keys() <= {"entries", "context", "sha256"}:
        raise InvalidRequest("contents have `entries` and `context`, and nothing else")
    told = {name: value for name, value in members.items() if name != "sha256"}
    if "sha256" in members and sealed_contents(told) != members:
        raise InvalidRequest("the contents were changed after they were saved")
    entries, context = told.get("entries") or {}, told.get("context")
    if not isinstance(entries, dict) or not all(isinstance(text, str) for text in entries.values()):
        raise InvalidRequest("the contents' entries are texts by id")
    if isinstance(context, list):
        context = [Message.model_validate(one) for one in context]
    elif context is not None and not isinstance(context, str):
        raise InvalidRequest("the contents' context is a text or a list of messages")
    return Contents(entries, context)
