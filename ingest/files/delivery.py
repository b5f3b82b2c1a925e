"""Hands a batch over to a sink, patiently: what can be retried is, and one item does not spoil the others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import anyio

from ingest.files.sinks import Sink
from ingest.writing.outcome import WriteOutcome, WriteStatus
from memtypes.model.errors import InvalidRequest, Overloaded, RemembrancerError, Unavailable

ATTEMPTS = 3


async def deliver(sink: Sink, items: list[dict[str, Any]]) -> list[WriteOutcome]:
    """One outcome an item, in order; failed, with the reason, for what could not be handed over.

    A full or absent store is asked again a few times: writing the same items twice is harmless. A batch that is refused
    as invalid is stored in no part, so it is halved until the item at fault is alone.
    """
    if not items:
        return []
    try:
        return [*await _patiently(sink, items)]
    except InvalidRequest as error:
        if len(items) == 1:
            return [WriteOutcome(WriteStatus.REJECTED, reason=str(error))]
        half = len(items) // 2
        return [*await deliver(sink, items[:half]), *await deliver(sink, items[half:])]
    except RemembrancerError as error:
        return [WriteOutcome(WriteStatus.FAILED, reason=str(error))] * len(items)


async def _patiently(sink: Sink, items: list[dict[str, Any]]) -> Sequence[WriteOutcome]:
    for _ in range(ATTEMPTS - 1):
        try:
            return await sink.write(items)
        except (Overloaded, Unavailable) as error:
            await anyio.sleep(error.retry_after_s)
    return await sink.write(items)
