"""Receipts, which record what a retrieval returned and why, in a hash chain for each tenant; their
store's port.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from secrets import randbits
from typing import Any, Protocol
from uuid import UUID

import msgspec

from memtypes.model.scope import Scope
from memtypes.ports.erasure import Erasable

GENESIS = "0" * 64
"""`previous_sha256` of the first receipt of a chain, which has no predecessor."""

_LINK_PREFIX = "previous_"
"""Prefix of the JSON members that link a receipt to its predecessor; no other member begins with
it.
"""


@dataclass(frozen=True, slots=True)
class ChainHead:
    """The newest receipt of a tenant's hash chain: its id and hash; None and GENESIS for a chain
    without receipts.
    """

    id: str | None = None
    sha256: str = GENESIS


@dataclass(frozen=True, slots=True)
class UnsealedReceipt:
    """A receipt as canonical JSON in two parts, between which `seal` inserts the link to the
    previous receipt.
    """

    namespace: str
    id: str
    before: bytes
    after: bytes

    @classmethod
    def from_body(cls, namespace: str, body: Mapping[str, Any]) -> UnsealedReceipt:
        """Encode a receipt's members. Sealing must wait for the previous receipt; this slow part of
        it need not.
        """
        before = {name: value for name, value in body.items() if name < _LINK_PREFIX}
        after = {name: value for name, value in body.items() if name not in before}
        return cls(namespace, str(body["id"]), canonical(before)[1:-1], canonical(after)[1:-1])


@dataclass(frozen=True, slots=True)
class SealedReceipt:
    """A receipt as it is stored. text: its JSON, which contains its own hash and the hash of the
    previous receipt.
    """

    id: str
    text: bytes
    sha256: str

    @property
    def head(self) -> ChainHead:
        """The head of the chain that ends with this receipt."""
        return ChainHead(self.id, self.sha256)


def canonical(value: object) -> bytes:
    """`value` as canonical JSON: sorted keys, no white space, no escaped characters, numbers as
    msgspec writes them.
    """
    return msgspec.json.encode(value, order="sorted")


def digest(text: bytes) -> str:
    """SHA-256 of `text` in hexadecimal."""
    return hashlib.sha256(text).hexdigest()


def seal(receipt: UnsealedReceipt, head: ChainHead) -> SealedReceipt:
    """Link `receipt` to `head` and add its hash: the SHA-256 of its canonical JSON without the
    member `sha256`.
    """
    link = canonical({"previous_id": head.id, "previous_sha256": head.sha256})[1:-1]
    members = b",".join(part for part in (receipt.before, link, receipt.after) if part)
    sha256 = digest(b"{%b}" % members)
    return SealedReceipt(receipt.id, b'{%b,"sha256":"%b"}' % (members, sha256.encode()), sha256)


def seal_all(receipts: Sequence[UnsealedReceipt], head: ChainHead) -> list[SealedReceipt]:
    """Return `receipts`, each linked to the one before it (the first to `head`) and with its own
    hash (see `seal`).
    """
    sealed: list[SealedReceipt] = []
    for receipt in receipts:
        sealed.append(seal(receipt, sealed[-1].head if sealed else head))
    return sealed


def receipt_hash(receipt: Mapping[str, Any]) -> str:
    """The `sha256` that a stored receipt must have, computed from its other members."""
    return digest(canonical({name: value for name, value in receipt.items() if name != "sha256"}))


def receipt_id(issued: datetime) -> str:
    """Return a new receipt id: a random UUIDv7 that contains the time `issued`."""
    milliseconds = int(issued.timestamp() * 1_000)
    return str(
        UUID(int=milliseconds << 80 | 0x7 << 76 | randbits(12) << 64 | 0b10 << 62 | randbits(62))
    )


def issued_at(text: str) -> float | None:
    """Unix time at which a receipt id was issued; None if it is not a UUIDv7."""
    try:
        uuid = UUID(text)
    except ValueError:
        return None
    return (uuid.int >> 80) / 1_000 if uuid.version == 7 else None


class ReceiptStore(Erasable, Protocol):
    """Stores receipts for a limited time, in a hash chain for each tenant.

    Erasing a namespace erases its receipts, because they contain queries. Erasing one memory erases
    no receipt, because receipts contain only the ids of memories. Every method raises Unavailable
    when the store can't be reached.
    """

    async def append(self, tenant: str, receipts: Sequence[UnsealedReceipt]) -> list[SealedReceipt]:
        """Add `receipts` to the tenant's chain, all or none; return them sealed. No two get the
        same predecessor.
        """

    async def get(self, tenant: str, receipt_id: str) -> bytes | None:
        """Return the JSON text of a receipt exactly as it was stored; None if it is unknown,
        expired or erased.
        """

    async def latest(self, scope: Scope, limit: int, before: str | None = None) -> list[bytes]:
        """Return the newest receipts as JSON, newest first.

        before: id of a receipt; only older receipts are returned, and none if the id is unknown.
        """
