"""Deterministic memory ids: the same statement in the same scope gets the same id, so a retry
stores no duplicate.
"""

from __future__ import annotations

import hashlib
import json
import unicodedata
import uuid

from memtypes.model.scope import Scope

_NAMESPACE = uuid.UUID("5a1f0c3e-6f0e-5d0b-9a58-6d3f2f8f7c11")


def normalise(content: str) -> str:
    """`content` in Unicode NFC, with single spaces. Case is kept: `tar -C` and `tar -c` are
    different commands.
    """
    return " ".join(unicodedata.normalize("NFC", content).split())


def content_hash(content: str) -> str:
    """SHA-256 of the normalised content, in hexadecimal."""
    return hashlib.sha256(normalise(content).encode()).hexdigest()


def memory_id(scope: Scope, memory_type: str, identity: tuple[str | None, ...]) -> str:
    """The id of a memory: a UUIDv5 of tenant, namespace, type and `identity` (see
    `Memory.identity`) as a JSON list.
    """
    name = json.dumps([scope.tenant, scope.namespace, memory_type, *identity], ensure_ascii=False)
    return str(uuid.uuid5(_NAMESPACE, name))
