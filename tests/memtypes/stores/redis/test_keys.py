"""Redis keys: objects that differ in scope, kind or ids never have the same key."""

from __future__ import annotations

from hypothesis import assume, given
from hypothesis import strategies as st

from memtypes.model.scope import Scope, clean_name
from memtypes.stores.redis.keys import live_key, scope_prefix, service_key, tenant_key


def is_name(text: str) -> bool:
    """Whether `text` is a valid name of a tenant or namespace."""
    try:
        return clean_name(text) == text
    except ValueError:
        return False


hostile = st.text(alphabet="ab:/{}%*?[]\\é日 .-_", min_size=1, max_size=8)
names = (hostile | st.text(min_size=1, max_size=20)).filter(is_name)
scopes = st.builds(Scope, names, names)
KINDS = (
    *(
        "working",
        "working-sessions",
        "thread",
        "thread-name",
        "thread-backup",
        "thread-aside",
        "thread-evicted",
    ),
    *("workflow", "workflows-ended", "lock-lock", "lock-fence", "lock-queue", "lock-seen"),
)
kinds = st.sampled_from(KINDS)
parts = st.lists(hostile, min_size=1, max_size=3)


@given(scopes, scopes, kinds, kinds, parts, parts)
def test_keys_differ_in_scope_kind_or_parts(
    scope: Scope,
    other_scope: Scope,
    kind: str,
    other_kind: str,
    first: list[str],
    second: list[str],
) -> None:
    assume((scope, kind, first) != (other_scope, other_kind, second))
    assert live_key(scope, kind, *first) != live_key(other_scope, other_kind, *second)


@given(scopes, scopes, parts)
def test_a_prefix_matches_keys_of_one_namespace(
    scope: Scope, other_scope: Scope, first: list[str]
) -> None:
    assume(scope != other_scope)
    assert live_key(scope, "thread", *first).startswith(scope_prefix(scope))
    assert not live_key(other_scope, "thread", *first).startswith(scope_prefix(scope))
    assert not tenant_key(scope.tenant, "receipts", *first).startswith(scope_prefix(scope))


@given(scopes, parts)
def test_keys_of_a_namespace_share_a_slot(scope: Scope, first: list[str]) -> None:
    """All keys of a namespace have the same text between the first braces, which decides the
    cluster's hash slot.
    """

    def tag(key: str) -> str:
        return key[key.index("{") + 1 : key.index("}")]

    assert tag(live_key(scope, "thread", *first)) == tag(live_key(scope, "lock")) != ""


@given(scopes, names, kinds, parts)
def test_keys_of_tenants_and_of_the_service_are_in_no_namespace(
    scope: Scope, tenant: str, kind: str, ids: list[str]
) -> None:
    """Keys of a tenant (receipts) or of the whole service (locks without a scope) have no
    namespace's prefix.
    """
    wider = {tenant_key(tenant, kind, *ids), service_key(kind, *ids)}
    assert len(wider) == 2
    assert live_key(scope, kind, *ids) not in wider
    assert not any(key.startswith(scope_prefix(scope)) for key in wider)
