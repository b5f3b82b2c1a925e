"""Names of Redis keys, percent-encoded. All keys of a namespace have one prefix and are in one
cluster slot.
"""

from __future__ import annotations

from functools import partial
from urllib.parse import quote, unquote

from memtypes.model.scope import Scope

live_part = partial(quote, safe="", errors="surrogatepass")
"""Percent-encode an id for use in a key."""


def scope_prefix(scope: Scope) -> str:
    """The prefix of every key of the namespace, and of no other key. The part in braces is the
    cluster's hash tag.
    """
    return f"rm:{{{live_part(scope.tenant)}/{live_part(scope.namespace)}}}:"


def scope_of(key: str) -> Scope:
    """The scope (tenant and namespace) of a key that `live_key` returned."""
    tenant, namespace = (
        unquote(part, errors="surrogatepass")
        for part in key[len("rm:{") : key.index("}")].split("/")
    )
    return Scope(tenant, namespace)


def every_scope(kind: str) -> str:
    """The pattern that matches the keys of a `kind` in all namespaces, and no others: ids in keys
    contain no "}".
    """
    return f"rm:{{*}}:{kind}"


def live_key(scope: Scope, kind: str, *ids: str) -> str:
    """The key of an object in a namespace. kind: such as "thread". ids: those that identify the
    object.
    """
    return scope_prefix(scope) + ":".join([kind, *map(live_part, ids)])


def tenant_key(tenant: str, kind: str, *ids: str) -> str:
    """The key of an object that belongs to a tenant but to no namespace. kind, ids: as in
    `live_key`.
    """
    return f"rm:{{{live_part(tenant)}}}:" + ":".join([kind, *map(live_part, ids)])


def service_key(kind: str, *ids: str) -> str:
    """The key of an object that belongs to no tenant. Its hash tag is `/`, which no namespace
    has.
    """
    return "rm:{/}:" + ":".join([kind, *map(live_part, ids)])
