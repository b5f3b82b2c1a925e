"""A receipt saved to a file, and its verification without a service."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from memtypes.model.errors import InvalidRequest
from memtypes.ports.encoders import Tokenizer
from memtypes.ports.receipts import canonical, digest
from retrieval.answer import ContextMessage
from retrieval.context.render import LAYOUTS, Renderer
from retrieval.receipts.checks import ReceiptContents, TokenCounter, verify
from retrieval.receipts.model import ReceiptVerdict

_CAPITAL_ESCAPE = re.compile(rb"\\u[0-9a-f]{0,3}[A-F]")


def verify_file(raw: bytes, counter: Callable[[Mapping[str, Any]], TokenCounter | None]) -> ReceiptVerdict:
    """The verdict on a saved receipt. counter: gives a receipt's token counter, None where it is not available."""
    receipt, contents = read_receipt(raw)
    return verify(receipt, contents, counter(receipt))


def counter_for(form: str, tokenizer: Tokenizer) -> TokenCounter:
    """A function that counts an entry as in a context of this format."""
    return Renderer(LAYOUTS.get(form, LAYOUTS["markdown"]), tokenizer).cost


def read_receipt(raw: bytes) -> tuple[dict[str, Any], ReceiptContents]:
    """The receipt in a file, and the contents saved with it. Raises InvalidRequest for anything else.

    Numbers and escapes must be spelt as in a receipt: another spelling of the same value is a change, too.
    """
    if _CAPITAL_ESCAPE.search(raw):
        raise InvalidRequest("an escape has capital digits: the file was changed")
    try:
        value = json.loads(raw.decode(), parse_float=_number, parse_constant=_number, object_pairs_hook=_unique)
        canonical(value)  # raises for half a surrogate pair, which cannot be hashed
    except (ValueError, RecursionError) as error:
        raise InvalidRequest(f"the file is not the JSON of a receipt: {error}") from error
    if not isinstance(value, dict):
        raise InvalidRequest("the file does not contain a receipt")
    return value, _contents(value.pop("contents", None) or {})


def sealed_contents(members: Mapping[str, Any]) -> dict[str, Any]:
    """Contents with their own hash, as they are saved; not every entry has a hash in the receipt."""
    return {**members, "sha256": digest(canonical(members))}


def _number(text: str) -> float:
    value = float(text)
    if text not in (repr(value), canonical(value).decode()):  # Python and msgspec spell small numbers differently
        raise ValueError(f"the number {text[:40]} is not spelt as in a receipt")
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("an object has a duplicate key")
    return members


def _contents(members: Any) -> ReceiptContents:
    if not isinstance(members, dict) or not members.keys() <= {"entries", "context", "sha256"}:
        raise InvalidRequest("contents have `entries` and `context` only")
    unsealed = {name: value for name, value in members.items() if name != "sha256"}
    if "sha256" in members and sealed_contents(unsealed) != members:
        raise InvalidRequest("the contents were changed after they were saved")
    entries, context = unsealed.get("entries") or {}, unsealed.get("context")
    if not isinstance(entries, dict) or not all(isinstance(text, str) for text in entries.values()):
        raise InvalidRequest("the contents' entries are texts by id")
    if isinstance(context, list):
        context = [ContextMessage.model_validate(message) for message in context]
    elif context is not None and not isinstance(context, str):
        raise InvalidRequest("the contents' context is a text or a list of messages")
    return ReceiptContents(entries, context)
