"""In-memory stores of receipts: one that works, and one that is unavailable."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from memtypes.model.errors import Unavailable
from memtypes.model.scope import Scope
from memtypes.ports.receipts import (
    ChainHead,
    ReceiptStore,
    SealedReceipt,
    UnsealedReceipt,
    seal_all,
)


@dataclass
class FakeReceipts(ReceiptStore):
    """Receipts in dictionaries: the text of each, its namespace, and the newest hash of each
    tenant's chain.
    """

    texts: dict[tuple[str, str], bytes] = field(default_factory=dict)
    heads: dict[str, ChainHead] = field(default_factory=dict)
    namespaces: dict[tuple[str, str], str] = field(default_factory=dict)

    async def append(self, tenant: str, receipts: Sequence[UnsealedReceipt]) -> list[SealedReceipt]:
        """Give the tenant's receipts their hashes, store their texts, and return the receipts with
        hashes.
        """
        sealed = seal_all(receipts, self.heads.get(tenant, ChainHead()))
        for unsealed, receipt in zip(receipts, sealed, strict=True):
            self.heads[tenant] = receipt.head
            self.texts[tenant, receipt.id] = receipt.text
            self.namespaces[tenant, receipt.id] = unsealed.namespace
        return sealed

    async def get(self, tenant: str, receipt_id: str) -> bytes | None:
        """Return the text of the tenant's receipt with this id; None if there is none."""
        return self.texts.get((tenant, receipt_id))

    async def latest(self, scope: Scope, limit: int, before: str | None = None) -> list[bytes]:
        """Return the texts of at most `limit` receipts of the namespace, newest first.

        before: id of a receipt; only older receipts are returned, and none if the id is unknown.
        """
        keys = self._keys(scope, None)[::-1]
        if before is not None:
            ids = [receipt_id for _, receipt_id in keys]
            keys = keys[ids.index(before) + 1 :] if before in ids else []
        return [self.texts[key] for key in keys[:limit]]

    async def erase(self, scope: Scope, memory_id: str | None) -> int:
        """Remove the receipts of the namespace and return their number. With a `memory_id`, do
        nothing.
        """
        keys = self._keys(scope, memory_id)
        for key in keys:
            del self.texts[key]
            del self.namespaces[key]
        return len(keys)

    async def remaining(self, scope: Scope, memory_id: str | None) -> int:
        """Return the number of receipts of the namespace that `erase` would remove; 0 if
        `memory_id` is given.
        """
        return len(self._keys(scope, memory_id))

    def _keys(self, scope: Scope, memory_id: str | None) -> list[tuple[str, str]]:
        if memory_id is not None:
            return []
        return [
            key
            for key, name in self.namespaces.items()
            if (key[0], name) == (scope.tenant, scope.namespace)
        ]


class AwayReceipts(FakeReceipts):
    """A store of receipts that is unavailable."""

    async def append(self, tenant: str, receipts: Sequence[UnsealedReceipt]) -> list[SealedReceipt]:
        """Raise Unavailable."""
        raise Unavailable(f"no store for {tenant}'s {len(receipts)} receipts")

    async def get(self, tenant: str, receipt_id: str) -> bytes | None:
        """Raise Unavailable."""
        raise Unavailable(f"no store for {receipt_id} of {tenant}")
