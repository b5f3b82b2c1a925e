"""Receipts as they are kept: sealed by a hash, each naming the one before it in its tenant's chain.

Knows what a seal is and what a store of receipts must do; does not know what a receipt tells.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from secrets import randbits
from typing import Any
from uuid import UUID

import msgspec

from memtypes.model.scope import Scope
from memtypes.ports.erasure import Erasable

GENESIS = "0" * 64
"""What the first receipt of a chain names as the hash of the one before it."""


@dataclass(frozen=True, slots=True)
class Link:
    """The newest receipt of a chain; without an id the chain has none."""

    id: str | None = None
    sha256: str = GENESIS


@dataclass(frozen=True, slots=True)
class Unsealed:
    """A receipt that is to join its tenant's chain, written but for the members that join it.

    before, after: its other members in canonical form, those that stand before and after these.
    """

    namespace: str
    id: str
    before: bytes
    after: bytes

    @classmethod
    def of(cls, namespace: str, body: Mapping[str, Any]) -> Unsealed:
        """The receipt with these members, the `id` among them. That is most of the work: sealing is quick then."""
        before = {name: value for name, value in body.items() if name < _JOINING}
        after = {name: value for name, value in body.items() if name not in before}
        return cls(namespace, str(body["id"]), canonical(before)[1:-1], canonical(after)[1:-1])


_JOINING = "previous_"
"""How the members that join a receipt to its chain begin; no other one does."""


@dataclass(frozen=True, slots=True)
class Sealed:
    """A receipt ready to be kept. text: all of it as JSON, its own hash included."""

    id: str
    text: bytes
    sha256: str

    @property
    def link(self) -> Link:
        """What the next receipt names."""
        return Link(self.id, self.sha256)


def canonical(value: object) -> bytes:
    """`value` as JSON in its one form: keys sorted, no blanks, characters as they are, numbers as msgspec has them."""
    return msgspec.json.encode(value, order="sorted")


def digest(text: bytes) -> str:
    """SHA-256 of `text`, in hexadecimal."""
    return hashlib.sha256(text).hexdigest()


def seal(receipt: Unsealed, link: Link) -> Sealed:
    """`receipt` joined to the chain after `link`, and hashed: SHA-256 over its canonical form without `sha256`."""
    joining = canonical({"previous_id": link.id, "previous_sha256": link.sha256})[1:-1]
    members = b",".join(part for part in (receipt.before, joining, receipt.after) if part)
    sha256 = digest(b"{%b}" % members)
    return Sealed(receipt.id, b'{%b,"sha256":"%b"}' % (members, sha256.encode()), sha256)


def chained(receipts: Sequence[Unsealed], link: Link) -> list[Sealed]:
    """`receipts` sealed one after the other, the first after `link`."""
    made: list[Sealed] = []
    for one in receipts:
        made.append(seal(one, made[-1].link if made else link))
    return made


def own_hash(receipt: Mapping[str, Any]) -> str:
    """What `receipt`'s `sha256` has to be."""
    members = {name: value for name, value in receipt.items() if name != "sha256"}
    return digest(canonical(members))


def receipt_id(made_at: datetime) -> str:
    """A UUIDv7: an id that nobody can guess and that tells, to whoever does not find it, when it was promised."""
    since = int(made_at.timestamp() * 1_000)
    return str(UUID(int=since << 80 | 0x7 << 76 | randbits(12) << 64 | 0b10 << 62 | randbits(62)))


def promised_at(text: str) -> float | None:
    """When the receipt of this id was promised, in Unix time; None for an id that `receipt_id` has not made."""
    try:
        given = UUID(text)
    except ValueError:
        return None
    return (given.int >> 80) / 1_000 if given.version == 7 else None


class ReceiptStore(ABC):
    """Where receipts are kept, one chain a tenant, each receipt for a bounded time.

    Raises Unavailable when it is away.
    """

    @abstractmethod
    async def append(self, tenant: str, receipts: Sequence[Unsealed]) -> list[Sealed]:
        """`receipts` sealed and kept, in this order and all or none, as the newest of the tenant.

        No two receipts name the same one before them.
        """

    @abstractmethod
    async def get(self, tenant: str, receipt_id: str) -> bytes | None:
        """The text of a receipt as it was sealed; None when the tenant has no such receipt any more."""

    @abstractmethod
    async def erase(self, scope: Scope) -> int:
        """Remove every receipt of the scope's namespace; how many there were. The chain goes on."""

    @abstractmethod
    async def count(self, scope: Scope) -> int:
        """How many receipts of the scope's namespace are kept."""


class ErasableReceipts(Erasable):
    """The receipts of a namespace, which hold its queries. Of a memory they hold its id and no text: they stay."""

    def __init__(self, kept: ReceiptStore) -> None:
        self._kept = kept

    async def erase(self, scope: Scope, memory_id: str | None) -> int:
        """How many receipts were removed."""
        return 0 if memory_id is not None else await self._kept.erase(scope)

    async def remaining(self, scope: Scope, memory_id: str | None) -> int:
        """How many there are."""
        return 0 if memory_id is not None else await self._kept.count(scope)
