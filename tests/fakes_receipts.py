"""Stand-ins for a store of receipts: one in memory, and one that is away."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from memtypes.model.errors import Unavailable
from memtypes.model.scope import Scope
from memtypes.ports.receipts import Link, ReceiptStore, Sealed, Unsealed, chained


@dataclass
class FakeReceipts(ReceiptStore):
    """Receipts in dictionaries."""

    texts: dict[tuple[str, str], bytes] = field(default_factory=dict)
    links: dict[str, Link] = field(default_factory=dict)
    places: dict[tuple[str, str], str] = field(default_factory=dict)

    async def append(self, tenant: str, receipts: Sequence[Unsealed]) -> list[Sealed]:
        """Sealed after the newest."""
        made = chained(receipts, self.links.get(tenant, Link()))
        for own, sealed in zip(receipts, made, strict=True):
            self.links[tenant] = sealed.link
            self.texts[tenant, sealed.id] = sealed.text
            self.places[tenant, sealed.id] = own.namespace
        return made

    async def get(self, tenant: str, receipt_id: str) -> bytes | None:
        """The text."""
        return self.texts.get((tenant, receipt_id))

    async def erase(self, scope: Scope) -> int:
        """How many there were."""
        gone = self._of(scope)
        for key in gone:
            del self.texts[key]
            del self.places[key]
        return len(gone)

    async def count(self, scope: Scope) -> int:
        """How many there are."""
        return len(self._of(scope))

    def _of(self, scope: Scope) -> list[tuple[str, str]]:
        return [key for key, name in self.places.items() if key[0] == scope.tenant and name == scope.namespace]


class AwayReceipts(FakeReceipts):
    """A store that is not there."""

    async def append(self, tenant: str, receipts: Sequence[Unsealed]) -> list[Sealed]:
        """Nothing: it is away."""
        raise Unavailable(f"no store for {tenant}'s {len(receipts)} receipts")

    async def get(self, tenant: str, receipt_id: str) -> bytes | None:
        """Nothing: it is away."""
        raise Unavailable(f"no store for {receipt_id} of {tenant}")
