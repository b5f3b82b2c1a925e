"""Receipts, sealed into a hash chain for each tenant, and the port of their store.

This module does not depend on what receipts contain.
"""

from __future__ import annotations

import hashlib
from abc import abstractmethod
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
"""previous_sha256 of the first receipt of a chain."""

_LINK_PREFIX = "previous_"
"""Prefix of the members that link a receipt to its chain, and of no other member."""


@dataclass(frozen=True, slots=True)
class ChainHead:
    """The newest receipt of a chain; id is None for an empty chain."""

    id: str | None = None
    sha256: str = GENESIS


@dataclass(frozen=True, slots=True)
class UnsealedReceipt:
    """A receipt encoded as JSON, which is not linked to the previous receipt of its chain yet.

    before, after: its canonical JSON, split where sealing inserts the members that link it.
    """

    namespace: str
    id: str
    before: bytes
    after: bytes

    @classmethod
    def of(cls, namespace: str, body: Mapping[str, Any]) -> UnsealedReceipt:
        """Encode a receipt's `body`, which has an `id`, as JSON: the slow part, done before sealing."""
        before = {name: value for name, value in body.items() if name < _LINK_PREFIX}
        after = {name: value for name, value in body.items() if name not in before}
        return cls(namespace, str(body["id"]), canonical(before)[1:-1], canonical(after)[1:-1])


@dataclass(frozen=True, slots=True)
class SealedReceipt:
    """A receipt as it is stored. text: JSON, with the previous receipt's hash and its own."""

    id: str
    text: bytes
    sha256: str

    @property
    def head(self) -> ChainHead:
        """The head of the chain that ends with this receipt."""
        return ChainHead(self.id, self.sha256)


def canonical(value: object) -> bytes:
    """Canonical JSON: sorted keys, no white space, characters unescaped, numbers as msgspec writes them."""
    return msgspec.json.encode(value, order="sorted")


def digest(text: bytes) -> str:
    """SHA-256 of `text` in hexadecimal."""
    return hashlib.sha256(text).hexdigest()


def seal(receipt: UnsealedReceipt, head: ChainHead) -> SealedReceipt:
    """Link `receipt` to `head` and hash it: SHA-256 of its canonical JSON without `sha256`."""
    link = canonical({"previous_id": head.id, "previous_sha256": head.sha256})[1:-1]
    members = b",".join(part for part in (receipt.before, link, receipt.after) if part)
    sha256 = digest(b"{%b}" % members)
    return SealedReceipt(receipt.id, b'{%b,"sha256":"%b"}' % (members, sha256.encode()), sha256)


def seal_all(receipts: Sequence[UnsealedReceipt], head: ChainHead) -> list[SealedReceipt]:
    """Seal `receipts` one after the other, the first after `head`."""
    sealed: list[SealedReceipt] = []
    for receipt in receipts:
        sealed.append(seal(receipt, sealed[-1].head if sealed else head))
    return sealed


def receipt_hash(receipt: Mapping[str, Any]) -> str:
    """The correct `sha256` of a receipt, computed from its other members."""
    return digest(canonical({name: value for name, value in receipt.items() if name != "sha256"}))


def receipt_id(issued: datetime) -> str:
    """Return a new receipt id: a random UUIDv7 that contains the time `issued`."""
    since = int(issued.timestamp() * 1_000)
    return str(UUID(int=since << 80 | 0x7 << 76 | randbits(12) << 64 | 0b10 << 62 | randbits(62)))


def issued_at(text: str) -> float | None:
    """Unix time at which a receipt id was issued; None if it is not a UUIDv7."""
    try:
        uuid = UUID(text)
    except ValueError:
        return None
    return (uuid.int >> 80) / 1_000 if uuid.version == 7 else None


class ReceiptStore(Erasable):
    """Stores receipts, chained for each tenant, for a limited time. Raises Unavailable if it can't be reached.

    Erasing a namespace erases its receipts, which contain queries. Erasing one memory does not: they have only its id.
    """

    @abstractmethod
    async def append(self, tenant: str, receipts: Sequence[UnsealedReceipt]) -> list[SealedReceipt]:
        """Seal and store `receipts` at the end of the tenant's chain, in this order, all or none.

        No two receipts of a chain have the same predecessor.
        """

    @abstractmethod
    async def get(self, tenant: str, receipt_id: str) -> bytes | None:
        """Return the JSON text of a receipt as it was sealed; None if it is unknown, expired or erased."""

    @abstractmethod
    async def latest(self, scope: Scope, limit: int, before: str | None = None) -> list[bytes]:
        """The JSON texts of the namespace's newest receipts, newest first, at most `limit`.

        before: list only receipts older than the receipt with this id; none if the id is unknown.
        """
