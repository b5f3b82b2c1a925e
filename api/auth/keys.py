"""API keys and their callers. Only the hashes of keys are stored."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated

from pydantic import StringConstraints, TypeAdapter, ValidationError

from memtypes.config import message_of
from memtypes.model.errors import RemembrancerError
from memtypes.model.memory import Model
from memtypes.model.scope import Name
from memtypes.model.strict_json import strict_json

DEFAULT_TENANT = "default"


class BadKeys(RemembrancerError):
    """The keys file cannot be used. The message says where and why, and never contains a key."""


class Role(StrEnum):
    """What a key may do; each role includes the one before it."""

    READER = "reader"
    WRITER = "writer"
    ADMIN = "admin"

    def may(self, needed: Role) -> bool:
        """Whether this role includes `needed`."""
        order = list(Role)
        return order.index(self) >= order.index(needed)


class KeyEntry(Model):
    """An entry of the keys file."""

    key: Annotated[str, StringConstraints(min_length=8, max_length=512, pattern=r"^[\x21-\x7e]+$")]
    tenant: Name
    role: Role


@dataclass(frozen=True, slots=True)
class Caller:
    """Tenant and role of a call. key_id: a short hash that names the key in limits and logs; empty without keys."""

    tenant: str
    role: Role
    key_id: str = ""


@dataclass(frozen=True, slots=True)
class KeyRing:
    """Known keys as (SHA-256, caller). With an empty ring every caller is the default tenant's admin."""

    entries: tuple[tuple[bytes, Caller], ...] = ()

    @classmethod
    def of(cls, entries: Sequence[KeyEntry]) -> KeyRing:
        """The ring of `entries`."""
        hashed = ((key_digest(entry.key), entry) for entry in entries)
        return cls(tuple((digest, Caller(entry.tenant, entry.role, digest.hex()[:12])) for digest, entry in hashed))

    def caller(self, key: str | None) -> Caller | None:
        """The caller with `key`, or None. Compares every entry, so that the time does not depend on the match."""
        if not self.entries:
            return Caller(DEFAULT_TENANT, Role.ADMIN)
        digest = key_digest(key or "")
        callers = [caller for known, caller in self.entries if hmac.compare_digest(known, digest)]
        return callers[0] if callers and key else None


def load_keys(path: Path | None) -> KeyRing:
    """The ring of the keys file at `path`; an empty one without a path. Raises BadKeys."""
    if path is None:
        return KeyRing()
    try:
        entries = strict_json(path.read_bytes())
    except OSError as error:
        raise BadKeys(f"keys file {path}: cannot be read ({error.strerror})") from error
    except RemembrancerError as error:
        raise BadKeys(f"keys file {path}: {error}") from error
    return KeyRing.of(_checked(path, entries))


def _checked(path: Path, listed: object) -> list[KeyEntry]:
    try:
        entries = TypeAdapter(list[KeyEntry]).validate_python(listed)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        index, *field = first["loc"] or ("",)
        where = "".join((f"entry {index}" if first["loc"] else "the file", *(f", {name}" for name in field)))
        raise BadKeys(
            f'keys file {path}: {where}: {message_of(first)}; it must be a JSON list of {{"key", "tenant", "role"}}'
        ) from None  # pydantic's own text would show the key
    if not entries:
        raise BadKeys(f"keys file {path}: it has no keys; leave out --keys to run without keys on loopback")
    if len({entry.key for entry in entries}) != len(entries):
        raise BadKeys(f"keys file {path}: two entries have the same key")
    return entries


def key_digest(key: str) -> bytes:
    """The SHA-256 of a key."""
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()
