"""Keys of live state: one prefix for each namespace, which also puts the namespace in one cluster slot.

Every part is percent-encoded, so different scopes, kinds or parts never share a key.
"""

from __future__ import annotations

from functools import partial
from urllib.parse import quote

from memtypes.model.scope import Scope

_part = partial(quote, safe="", errors="surrogatepass")


def scope_prefix(scope: Scope) -> str:
    """Prefix of every key of the namespace, and of no other key. The braces are the cluster's hash tag."""
    return f"rm:{{{_part(scope.tenant)}/{_part(scope.namespace)}}}:"


def live_key(scope: Scope, kind: str, *parts: str) -> str:
    """Key in a namespace. kind: such as thread; parts: the ids that identify it."""
    return scope_prefix(scope) + ":".join([kind, *map(_part, parts)])


def tenant_key(tenant: str, kind: str, *parts: str) -> str:
    """Key of a tenant, outside its namespaces."""
    return f"rm:{{{_part(tenant)}}}:" + ":".join([kind, *map(_part, parts)])


def service_key(kind: str, *parts: str) -> str:
    """Key of the whole service. No namespace has its hash tag, because a part is never empty."""
    return "rm:{/}:" + ":".join([kind, *map(_part, parts)])
