"""Messages between clients and the engine process: requests, errors and framing."""

from __future__ import annotations

import asyncio
import json
from hashlib import sha256
from typing import Any, get_args

import msgspec
import numpy as np
import pytest

from memtypes.model.errors import (
    Conflict,
    InvalidRequest,
    NotFound,
    RemembrancerError,
    StoreInUse,
    Unavailable,
)
from memtypes.model.policy import MemoryType
from memtypes.ports.memory_store import Record
from memtypes.stores.edge.process import wire
from memtypes.stores.operations.messages import Request, answer_type, decode, encode
from memtypes.stores.operations.reads import get_page
from memtypes.stores.operations.searching import TypedSearch, find_candidates
from memtypes.stores.operations.writes import upsert
from tests.builders import SCOPE, make_memory, make_record

pytestmark = pytest.mark.anyio

FORMAT = (15, "3e7e29f266b9a886")
"""The protocol, and a hash of the format of its messages."""


def test_the_protocol_changes_with_the_format_of_the_messages() -> None:
    """A change of the message format fails this test until PROTOCOL is incremented and FORMAT is
    updated.

    Otherwise older engines would misread the messages.
    """
    requests = get_args(wire.ANY_REQUEST)
    types = [*requests, *map(answer_type, requests)]
    schema = msgspec.json.schema_components(types, schema_hook=lambda kind: {"type": str(kind)})
    text = json.dumps(_without_texts(schema), sort_keys=True)
    assert (wire.PROTOCOL, sha256(text.encode()).hexdigest()[:16]) == FORMAT


def _without_texts(schema: Any) -> Any:
    """A JSON schema without its descriptions, which are docstrings and may change."""
    if isinstance(schema, dict):
        return {
            name: _without_texts(member) for name, member in schema.items() if name != "description"
        }
    return (
        [_without_texts(member) for member in schema]
        if isinstance(schema, list | tuple)
        else schema
    )


@pytest.mark.parametrize(
    "error",
    [NotFound("n"), Conflict("c"), Unavailable("u"), StoreInUse("s"), RemembrancerError("r")],
)
def test_errors_keep_their_class_and_text(error: RemembrancerError) -> None:
    """A client raises an engine's error with the same class and text.

    An error of an unknown class becomes Unavailable.
    """
    received = wire.error_of(wire.failure_of(error))
    assert type(received) is (Unavailable if type(error) is RemembrancerError else type(error))
    assert str(received) == str(error)


def test_an_error_of_the_engine_names_the_invalid_field_to_the_client() -> None:
    received = wire.error_of(wire.failure_of(InvalidRequest("bad", path="filters.x")))
    assert isinstance(received, InvalidRequest)
    assert received.path == "filters.x"


def sent(request: Request[Any]) -> Any:
    """The request, encoded and then decoded as the engine does it."""
    call: wire.Call = decode(encode((3, request)), wire.Call)
    assert call.number == 3
    return decode(call.request, wire.ANY_REQUEST)


def test_requests_are_decoded_as_they_were_encoded() -> None:
    """Scopes, vectors and nested conditions are equal after decoding."""
    vectors = make_record(make_memory(MemoryType.EPISODIC, "x")).vectors
    search = TypedSearch(
        {MemoryType.WORKING: {"must": [{"has_id": ["x"]}]}}, vectors.dense, vectors.sparse, 5
    )
    find = sent(find_candidates(scope=SCOPE, searches=[search]))
    assert find.scope == SCOPE
    assert find.searches[0].wheres == search.wheres
    assert np.array_equal(np.asarray(find.searches[0].dense), vectors.dense)
    record = Record("i", MemoryType.EPISODIC, {"a": [1]}, vectors)
    assert sent(upsert(scope=SCOPE, kind=MemoryType.EPISODIC, points=[record])).points[
        0
    ].payload == {"a": [1]}
    page = get_page(scope=SCOPE, types=[MemoryType.SEMANTIC], where={}, limit=3, after=("a", "b"))
    assert [sent(page), sent(wire.Hello())] == [page, wire.Hello()]


async def test_messages_are_framed_by_their_length() -> None:
    """The length before each message tells where it ends, however the bytes arrive. A huge length
    is refused.
    """
    reader = asyncio.StreamReader()
    reader.feed_data(wire.frame("one") + wire.frame(None) + wire.frame("three")[:7])
    assert [await wire.read_message(reader), await wire.read_message(reader)] == [
        encode("one"),
        encode(None),
    ]
    reader.feed_data(b"ree")
    assert await wire.read_message(reader) == encode("three")
    reader.feed_data(b"\xff\xff\xff\xff")
    with pytest.raises(ValueError, match="4294967295 bytes"):
        await wire.read_message(reader)
