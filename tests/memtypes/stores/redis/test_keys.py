"""Keys: no two different scopes, kinds or parts ever share one."""

from __future__ import annotations

from hypothesis import assume, given
from hypothesis import strategies as st

from memtypes.model.scope import Scope, clean_name
from memtypes.stores.redis.keys import live_key, scope_prefix, service_key, tenant_key


def is_name(text: str) -> bool:
    """Whether `text` may name a scope."""
    try:
        return clean_name(text) == text
    except ValueError:
        return False


hostile = st.text(alphabet="ab:/{}%*?[]\\é日 .-_", min_size=1, max_size=8)
names = (hostile | st.text(min_size=1, max_size=20)).filter(is_name)
scopes = st.builds(Scope, names, names)
KINDS = (
    *("working", "working-sessions", "thread", "thread-name", "thread-backup", "thread-aside", "thread-evicted"),
    *("workflow", "workflows-ended", "lock-lock", "lock-fence", "lock-queue", "lock-seen"),
)
kinds = st.sampled_from(KINDS)
parts = st.lists(hostile, min_size=1, max_size=3)


@given(scopes, scopes, kinds, kinds, parts, parts)
def test_different_things_have_different_keys(
    one: Scope, other: Scope, kind: str, other_kind: str, first: list[str], second: list[str]
) -> None:
    """Two keys are equal only for the same tenant, namespace, kind and parts."""
    assume((one, kind, first) != (other, other_kind, second))
    assert live_key(one, kind, *first) != live_key(other, other_kind, *second)


@given(scopes, scopes, parts)
def test_a_prefix_is_one_namespaces_own(one: Scope, other: Scope, first: list[str]) -> None:
    """The keys of a namespace begin with its prefix, those of any other do not."""
    assume(one != other)
    assert live_key(one, "thread", *first).startswith(scope_prefix(one))
    assert not live_key(other, "thread", *first).startswith(scope_prefix(one))
    assert not tenant_key(one.tenant, "receipts", *first).startswith(scope_prefix(one))


@given(scopes, parts)
def test_a_namespace_has_one_slot(scope: Scope, first: list[str]) -> None:
    """What stands between the first braces, which a cluster hashes, is the same in every key of a namespace."""

    def tag(key: str) -> str:
        return key[key.index("{") + 1 : key.index("}")]

    assert tag(live_key(scope, "thread", *first)) == tag(live_key(scope, "lock")) != ""


@given(scopes, names, kinds, parts)
def test_no_tenants_and_no_services_key_is_a_namespaces(scope: Scope, tenant: str, kind: str, some: list[str]) -> None:
    """Receipts and answers are a tenant's, locks without a scope the service's: neither meets a namespace's state."""
    wider = {tenant_key(tenant, kind, *some), service_key(kind, *some)}
    assert len(wider) == 2
    assert live_key(scope, kind, *some) not in wider
    assert not any(key.startswith(scope_prefix(scope)) for key in wider)
