"""Where live state lies: one prefix a namespace, which is also its slot in a cluster.

Every part is percent-encoded, so that no character of a part can be taken for the structure around it: two different
scopes, kinds or parts never share a key.
"""

from __future__ import annotations

from urllib.parse import quote

from memtypes.model.scope import Scope


def scope_prefix(scope: Scope) -> str:
    """What every key of the namespace begins with, and no key of another one. The braces are the cluster's hash tag."""
    return f"rm:{{{_part(scope.tenant)}/{_part(scope.namespace)}}}:"


def live_key(scope: Scope, kind: str, *parts: str) -> str:
    """The key of one thing of a namespace. kind: of the thing, such as thread; parts: what tells it from others."""
    return scope_prefix(scope) + ":".join([kind, *map(_part, parts)])


def tenant_key(tenant: str, kind: str, *parts: str) -> str:
    """The key of one thing of a whole tenant."""
    return f"rm:{{{_part(tenant)}}}:" + ":".join([kind, *map(_part, parts)])


def service_key(kind: str, *parts: str) -> str:
    """The key of one thing of the whole service. No namespace has this tag: a part is never empty."""
    return "rm:{/}:" + ":".join([kind, *map(_part, parts)])


def _part(text: str) -> str:
    return quote(text, safe="", errors="surrogatepass")
