"""API keys and the callers that they identify: keys from the keys file, and keys that admins create
at run time.

The service keeps only the hashes of keys. The hashes of created keys are stored in the data folder.
"""

from __future__ import annotations

import codecs
import hashlib
import hmac
import logging
import secrets
import time
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Self

import anyio
from pydantic import Field, StringConstraints, TypeAdapter, ValidationError, model_validator

from memtypes.config import message_of
from memtypes.model.errors import (
    AccessDenied,
    Conflict,
    InvalidRequest,
    NotFound,
    RemembrancerError,
    Unavailable,
)
from memtypes.model.memory import StrictModel
from memtypes.model.scope import DEFAULT_TENANT, Name, Scope
from memtypes.model.strict_json import strict_json
from memtypes.model.times import Clock, Instant, to_utc
from memtypes.stores.files import holder_of, locked_by, replace_file

LOCK_WAIT_S = 5.0
"""Seconds for which creating or removing a key waits for another process that changes keys."""

_log = logging.getLogger(__name__)


class BadKeys(RemembrancerError):
    """The operator's keys file or the file of created keys cannot be used. The message never
    contains a key.
    """


class Role(StrEnum):
    """What the caller with an API key may do: a writer may also read, an admin may do
    everything.
    """

    READER = "reader"
    WRITER = "writer"
    ADMIN = "admin"

    def may(self, needed: Role) -> bool:
        """Whether this role includes the rights of the role `needed`."""
        order = list(Role)
        return order.index(self) >= order.index(needed)


class KeyRights(StrictModel):
    """What an API key gives access to. agents: the agents that its caller may act as; left out for
    any agent.

    namespace: default for an MCP client's calls that name no namespace; the caller may use other
    namespaces too.
    """

    tenant: Name
    role: Role
    agents: list[Name] = Field(default_factory=list, min_length=1, max_length=64)
    namespace: Name | None = None

    @model_validator(mode="after")
    def _admins_have_no_agents(self) -> Self:
        if self.agents and self.role is Role.ADMIN:
            raise ValueError(
                "a key with agents must have the role reader or writer: an admin may act "
                "as every agent"
            )
        return self


class KeyEntry(KeyRights):
    """An entry of the keys file: an API key and what it gives access to."""

    key: Annotated[str, StringConstraints(min_length=8, max_length=512, pattern=r"^[\x21-\x7e]+$")]


@dataclass(frozen=True, slots=True)
class Caller:
    """The caller of an HTTP call, as its API key identifies it: tenant and role.

    key_id: start of the key's hash, used in limits and logs; empty in a service without keys.
    agents: the agents that the caller may act as; empty for any agent. namespace: default for an
    MCP client's calls that name no namespace.
    """

    tenant: str
    role: Role
    key_id: str = ""
    agents: tuple[str, ...] = ()
    namespace: str | None = None

    def agent(self, agent_id: str | None) -> str | None:
        """The agent of a call: `agent_id`, else the key's only agent. Raises AccessDenied for one
        that it lacks.
        """
        if not self.agents:
            return agent_id
        if agent_id is None:
            return self.agents[0] if len(self.agents) == 1 else None
        if agent_id not in self.agents:
            raise AccessDenied(f"this key acts as {_quoted(self.agents)}, not as {agent_id!r}")
        return agent_id

    def required_agent(self, agent_id: str | None, field: str = "agent_id") -> str | None:
        """The agent that a call acts as (see `agent`). Raises InvalidRequest if the call must name
        one in `field`.
        """
        acting = self.agent(agent_id)
        if self.agents and acting is None:
            raise InvalidRequest(
                f"is required with this key: one of {_quoted(self.agents)}", path=field
            )
        return acting

    def scope(self, namespace: str, session_id: str | None, acting: str | None) -> Scope:
        """The scope that a call may read and write. acting: the agent that the call acts as; None
        if it names none.
        """
        agents = self.agents if acting is None else (acting,) if self.agents else ()
        return Scope(self.tenant, namespace, session_id, acting, agents)


def _quoted(names: Sequence[str]) -> str:
    return ", ".join(map(repr, names))


def _sha256(key: str) -> str:
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()


class KnownKey(KeyRights):
    """An API key as lists show it, without the secret. id: start of its hash, also used in limits
    and logs.

    created_at: None for a key from the keys file.
    """

    id: str
    agents: list[Name] = Field(default_factory=list)
    created_at: Instant | None = None


class HashedKey(KnownKey):
    """An API key as the service keeps it: with the key's SHA-256 in place of the key itself."""

    sha256: str

    @classmethod
    def from_key(cls, key: str, rights: KeyRights, created_at: datetime | None = None) -> HashedKey:
        """The hash of the API key `key` together with the key's rights."""
        digest = _sha256(key)
        fields = {name: getattr(rights, name) for name in KeyRights.model_fields}
        return cls(**fields, id=digest[:12], created_at=created_at, sha256=digest)

    @property
    def caller(self) -> Caller:
        """The caller whom the API key identifies."""
        return Caller(self.tenant, self.role, self.id, tuple(self.agents), self.namespace)


def hashed(entries: Iterable[KeyEntry]) -> tuple[HashedKey, ...]:
    """The `entries` of a keys file, with hashes in place of the keys."""
    return tuple(HashedKey.from_key(entry.key, entry) for entry in entries)


def load_keys(path: Path | None) -> tuple[HashedKey, ...]:
    """Read the keys file at `path`; return no keys if `path` is None. Raises BadKeys if the file is
    invalid.
    """
    if path is None:
        return ()
    try:
        document = strict_json(path.read_bytes().removeprefix(codecs.BOM_UTF8))
        entries = TypeAdapter(list[KeyEntry]).validate_python(document)
    except OSError as error:
        raise BadKeys(f"keys file {path}: cannot be read ({error.strerror})") from error
    except RemembrancerError as error:
        raise BadKeys(f"keys file {path}: {error}") from error
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        index, *field = first["loc"] or ("",)
        where = "".join(
            (f"entry {index}" if first["loc"] else "the file", *(f", {name}" for name in field))
        )
        raise BadKeys(
            f"keys file {path}: {where}: {message_of(first)}; "
            'it must be a JSON list of {"key", "tenant", "role", "agents"?, "namespace"?}'
        ) from None  # pydantic's own text would show the key
    if not entries:
        raise BadKeys(
            f"keys file {path}: it has no keys; leave out --keys to run without keys on loopback"
        )
    if len({entry.key for entry in entries}) != len(entries):
        raise BadKeys(f"keys file {path}: two entries have the same key")
    return hashed(entries)


_CREATED = TypeAdapter(list[HashedKey])


class KeyBook:
    """All API keys: those of the keys file, and those that admins created. Changes by other
    processes are noticed.
    """

    def __init__(
        self,
        file_keys: Sequence[HashedKey] = (),
        path: Path | None = None,
        tenant: str = DEFAULT_TENANT,
        wait_s: float = LOCK_WAIT_S,
    ) -> None:
        """Read the created keys. file_keys: keys of the keys file; without any, every caller is an
        admin of `tenant`.

        path: file that stores the keys that admins create; None keeps them in memory only. wait_s:
        seconds to wait for the lock on that file. Raises BadKeys if the file cannot be used.
        """
        self._tenant = tenant
        self._wait_s = wait_s
        self._file_keys = tuple(file_keys)
        self._path = path
        self._changing = anyio.Lock()
        self._created = tuple(_read_created(path)) if path is not None and path.exists() else ()
        self._read_stamp = self._stamp()

    def caller(self, key: str | None) -> Caller | None:
        """The caller that the API key `key` identifies; None if the key is unknown or missing
        (None).

        Without a keys file, the caller with an unknown or missing key is the admin of the book's
        tenant.
        """
        self._refresh()
        digest = _sha256(key or "")
        # Every hash is compared, so that the time does not tell which one matches.
        matches = [
            hashed_key for hashed_key in self._all if hmac.compare_digest(hashed_key.sha256, digest)
        ]
        if matches:
            return matches[0].caller
        return None if self._file_keys else Caller(self._tenant, Role.ADMIN)

    def caller_with(self, key_id: str) -> Caller | None:
        """The caller of the key with this id, for a visitor who logged in to the inspector; None if
        it was removed.
        """
        self._refresh()
        return next(
            (hashed_key.caller for hashed_key in self._all if hashed_key.id == key_id), None
        )

    def list_keys(self) -> list[KnownKey]:
        """Every API key, without its secret: first those from the keys file, then created keys,
        oldest first.
        """
        self._refresh()
        return [KnownKey(**hashed_key.model_dump(exclude={"sha256"})) for hashed_key in self._all]

    @property
    def _all(self) -> tuple[HashedKey, ...]:
        return (*self._file_keys, *self._created)

    async def create(self, rights: KeyRights, clock: Clock) -> tuple[str, str]:
        """Create an API key; return its id and the key. Only a hash is stored, so the key cannot be
        shown again.
        """
        key = f"rm_{secrets.token_urlsafe(32)}"
        hashed_key = HashedKey.from_key(key, rights, to_utc(clock()))
        async with self._exclusive():
            await self._store([*self._created, hashed_key])
        return hashed_key.id, key

    async def remove(self, key_id: str) -> None:
        """Delete a key that an admin created. Raises NotFound for an unknown id, Conflict if the
        keys file has it.
        """
        async with self._exclusive():
            remaining = [hashed_key for hashed_key in self._created if hashed_key.id != key_id]
            if len(remaining) == len(self._created):
                if any(hashed_key.id == key_id for hashed_key in self._file_keys):
                    raise Conflict(
                        "this key is in the keys file; remove it there and restart the service"
                    )
                raise NotFound("there is no key of this id")
            await self._store(remaining)

    @asynccontextmanager
    async def _exclusive(self) -> AsyncIterator[None]:
        """Context manager that keeps other tasks and processes from changing the file of created
        keys, and reads it.

        Raises Unavailable if the lock is not free within `wait_s` seconds, or the file cannot be
        written.
        """
        async with self._changing:
            if self._path is None:
                yield
                return
            lock = self._path.with_suffix(".lock")
            try:
                async with locked_by(lock, time.monotonic() + self._wait_s) as acquired:
                    if not acquired:
                        raise Unavailable(
                            f"process {holder_of(lock)} does not release the keys; try again"
                        )
                    self._refresh()
                    yield
            except OSError as error:
                raise Unavailable(
                    f"the keys cannot be written: {error.strerror}; nothing was changed"
                ) from error

    async def _store(self, keys: Sequence[HashedKey]) -> None:
        if self._path is not None:
            await anyio.to_thread.run_sync(
                replace_file, self._path, _CREATED.dump_json(list(keys), indent=2)
            )
            self._read_stamp = self._stamp()
        self._created = tuple(keys)

    def _refresh(self) -> None:
        """Read the file of created keys again if it has changed. If that fails, log the error and
        keep the old keys.
        """
        stamp = self._stamp()
        if self._path is None or stamp == self._read_stamp:
            return
        self._read_stamp = stamp
        try:
            self._created = tuple(_read_created(self._path)) if stamp else ()
        except BadKeys as error:
            _log.error("%s; the keys that were read before stay in use", error)

    def _stamp(self) -> tuple[int, int] | None:
        """Modification time and inode of the file of created keys, which change with it; None if
        there is no file.
        """
        if self._path is None:
            return None
        try:
            stat = self._path.stat()
        except FileNotFoundError:
            return None
        return stat.st_mtime_ns, stat.st_ino


def _read_created(path: Path) -> list[HashedKey]:
    try:
        return _CREATED.validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise BadKeys(
            f"created keys {path}: cannot be read; restore the file, or delete it"
        ) from error
