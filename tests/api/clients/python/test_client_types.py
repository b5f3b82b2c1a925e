"""The Python client's generated types."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from remembrancer_client.answers import BatchAnswer, ContextItem, HistoryVersion, Memory, Vote
from tests.api.clients.python.client_types import PACKAGE, modules, service_document

AT = "2026-03-01T09:30:00Z"


@pytest.mark.slow
def test_the_types_are_those_of_the_services_document() -> None:
    """If this fails: `make client-types`."""
    pytest.importorskip("datamodel_code_generator")
    for name, text in modules(service_document()).items():
        assert (PACKAGE / name).read_text(encoding="utf-8") == text, name


def test_values_and_members_of_a_newer_service_are_read() -> None:
    answer = {
        "results": [{"id": None, "status": "postponed", "index": 0, "later": True}],
        "counts": {"stored": 0, "merged": 0, "rejected": 0, "failed": 0, "postponed": 1},
    }
    assert msgspec.convert(answer, BatchAnswer).results[0].status == "postponed"


def test_members_that_an_answer_leaves_out_are_empty_or_none() -> None:
    item = msgspec.convert(
        {"id": "m", "type": "semantic", "rank": 1, "score": 0.5, "tokens": 3, "content": "x"},
        ContextItem,
    )
    assert item.signals == {}
    assert item.cut is False
    assert item.state is None
    vote = msgspec.convert({"reviewer": "r", "ok": True, "reason": "new"}, Vote)
    assert vote.trivial is None


def test_a_memory_has_the_fields_of_all_types_and_none_for_those_of_others() -> None:
    memory = msgspec.convert({**_common_fields(), "steps": ["Build", "Deploy"]}, Memory)
    assert memory.steps == ["Build", "Deploy"]
    assert memory.turns is None
    assert memory.event_type is None


def test_times_are_datetimes_and_from_is_since() -> None:
    version = msgspec.convert({"memory": _common_fields(), "from": AT}, HistoryVersion)
    assert version.since == datetime(2026, 3, 1, 9, 30, tzinfo=UTC)


def _common_fields() -> dict[str, Any]:
    """A memory with the fields that all types have."""
    values = {"str": "x", "int": 1, "bool": False, "datetime": AT, "None": None}
    fields: dict[str, Any] = {}
    for field in msgspec.structs.fields(Memory):
        if field.required:
            kind = str(Memory.__annotations__[field.name])
            fields[field.name] = None if "None" in kind else values.get(kind, [])
    return {**fields, "metadata": {}, "tokens": {"count": 1, "tokenizer": "cl100k_base"}}
