"""What can be asked of receipts that are kept: reading, checking, running again."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from memtypes.model.errors import NotFound, Unavailable
from memtypes.model.memory import Memory
from memtypes.model.scope import Scope
from memtypes.model.times import rfc3339
from memtypes.ports.receipts import ChainHead, UnsealedReceipt, canonical, issued_at, seal
from memtypes.ports.tokenizer import Tokenizer
from retrieval.answer import RetrieveAnswer
from retrieval.context.written import Retrieval
from retrieval.query.request import RetrieveRequest
from retrieval.receipts.build import plain_context, receipt_body
from retrieval.receipts.checks import Contents, verify
from retrieval.receipts.contents import Stored, contents_of, counter_for
from retrieval.receipts.file import sealed_contents
from retrieval.receipts.model import Receipt, ReceiptVerdict, ReplayAnswer
from retrieval.receipts.queue import ReceiptQueue
from retrieval.receipts.recorder import Past
from retrieval.receipts.replay import Replayed, compared, recorded_uses
from retrieval.retriever import Retriever, RetrieverParts

GRACE_S = 0.5
"""Seconds for which a receipt that was promised and is not there may still be on its way in another process."""

_LOOK_S = 0.02


@dataclass(slots=True)
class _Capture:
    """Takes a retrieval instead of keeping its receipt."""

    past: Past
    taken: list[Retrieval] = field(default_factory=list)

    async def record(self, retrieval: Retrieval) -> RetrieveAnswer:
        self.taken.append(replace(retrieval, passed=await self.past.of(retrieval)))
        return retrieval.written.answer


@dataclass(frozen=True, slots=True)
class Receipts:
    """The receipts of all tenants."""

    kept: ReceiptQueue
    parts: RetrieverParts

    async def text(self, tenant: str, receipt_id: str) -> bytes:
        """A receipt as it was sealed. Raises NotFound when the tenant has none of this id any more."""
        text = await self.kept.get(tenant, receipt_id)
        looks = round(GRACE_S / _LOOK_S)
        while text is None and looks and self._may_come(receipt_id):
            await asyncio.sleep(_LOOK_S)
            text, looks = await self.kept.get(tenant, receipt_id), looks - 1
        if text is None:
            raise NotFound(f"no receipt {receipt_id!r} is kept for this tenant")
        return text

    def _may_come(self, receipt_id: str) -> bool:
        """Whether another process may be writing it: what was promised here is known to the queue."""
        promised = issued_at(receipt_id)
        return promised is not None and abs(self.parts.clock().timestamp() - promised) < GRACE_S

    async def verify(self, tenant: str, receipt_id: str) -> ReceiptVerdict:
        """The verdict on a receipt, its entries recounted from the store and the receipt before it at hand."""
        raw = json.loads(await self.text(tenant, receipt_id))
        receipt = Receipt.model_validate(raw)
        tokenizer = self._tokenizer(receipt)
        contents = await self._contents(tenant, receipt, tokenizer)
        return verify(raw, contents, counter_for(str(receipt.request["format"]), tokenizer))

    async def replay(self, tenant: str, receipt_id: str) -> ReplayAnswer:
        """What the same request gives now, at the receipt's clock and with the uses that it recorded."""
        before = Receipt.model_validate_json(await self.text(tenant, receipt_id))
        asked = RetrieveRequest.model_validate(before.request)
        scope = Scope(tenant, asked.namespace, asked.session_id, asked.agent_id)
        capture = _Capture(Past(self.parts.store, self.parts.embedder))
        parts = replace(self.parts, receipts=capture, adjust=recorded_uses(before), on_shown=None, on_timings=None)
        await Retriever(parts).retrieve(scope, asked.model_copy(update={"as_of": before.as_of}))
        body = receipt_body(capture.taken[0], before.id, rfc3339(before.created_at))
        after = Receipt.model_validate_json(seal(UnsealedReceipt.of(asked.namespace, body), ChainHead()).text)
        memories = await self._memories(tenant, before) | await self._memories(tenant, after)
        return compared(Replayed(before, after, memories))

    async def with_contents(self, tenant: str, text: bytes) -> bytes:
        """A receipt's text with the contents that it speaks of, as far as they are what they were."""
        raw = json.loads(text)
        receipt = Receipt.model_validate(raw)
        contents = await self._contents(tenant, receipt, self._tokenizer(receipt))
        told: dict[str, Any] = {"entries": dict(contents.entries)}
        if contents.context is not None:
            told["context"] = plain_context(contents.context)
        return canonical({**raw, "contents": sealed_contents(told)})

    async def _contents(self, tenant: str, receipt: Receipt, tokenizer: Tokenizer) -> Contents:
        stored = Stored(await self._memories(tenant, receipt), await self._previous(tenant, receipt))
        return contents_of(receipt, stored, tokenizer)

    def _tokenizer(self, receipt: Receipt) -> Tokenizer:
        tokenizer = self.parts.tokenizers.get(receipt.tokenizer.name)
        if tokenizer is None or tokenizer.sha256 != receipt.tokenizer.sha256:
            raise Unavailable(f"the tokenizer {receipt.tokenizer.name} of this receipt is not at hand")
        return tokenizer

    async def _memories(self, tenant: str, receipt: Receipt) -> dict[str, Memory]:
        scope = Scope(tenant, str(receipt.request["namespace"]))
        return await self.parts.store.get(scope, {one.id: one.type for one in receipt.candidates})

    async def _previous(self, tenant: str, receipt: Receipt) -> Mapping[str, Any] | None:
        text = await self.kept.get(tenant, receipt.previous_id) if receipt.previous_id else None
        return None if text is None else dict(json.loads(text))
