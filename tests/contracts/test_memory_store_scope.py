"""The contract of MemoryStore: no call reads or changes memories of another tenant or namespace."""

from __future__ import annotations

import uuid

import pytest

from memtypes.model.filters import AnyOf, Compare, Filter, Not, Op
from memtypes.model.memory import Memory
from memtypes.model.policy import MemoryType, Visibility
from memtypes.model.scope import Scope
from memtypes.ports.memory_store import CandidateSearch, Listing, MemoryStore
from memtypes.search.candidates import Candidate
from tests.builders import make_dense, make_memory, make_sparse
from tests.contracts.memory_steps import keep, listed

pytestmark = pytest.mark.anyio

HOSTILE = [
    "a&b=c",
    "a%2Fb",
    "a/b",
    "a:b",
    "a,b",
    "a b",
    'a"b',
    "a'b",
    "a\\b",
    "a.b[0]",
    "*",
    "ä😀",
    "a\u0308😀",
    "名前空間",
    '{"must": []}',
    "' OR 1=1 --",
    "${x}{{x}}%s",
    "a" * 256,
]
EVERYTHING: Filter = AnyOf((Compare("tenant", Op.NE, "x"), Not(Compare("tenant", Op.NE, "x"))))
"""True of every memory of every tenant: a condition that must not widen anything."""


async def visible(store: MemoryStore, scope: Scope) -> list[Candidate]:
    """The candidates of a search that finds every memory that `scope` may see."""
    search = CandidateSearch(
        dict.fromkeys(MemoryType, EVERYTHING), make_dense(1), make_sparse([1]), 50
    )
    (candidates,) = await store.candidates(scope, [search])
    return list(candidates)


async def assert_sees_only(
    store: MemoryStore, scope: Scope, expected: Memory, foreign: list[Memory]
) -> None:
    """Check that every kind of read in `scope` returns the memory `expected` and none of
    `foreign`.
    """
    assert [memory.id for memory in await listed(store, scope, limit=3, filter=EVERYTHING)] == [
        expected.id
    ]
    assert set(await store.get(scope, [expected.id, *(memory.id for memory in foreign)])) == {
        expected.id
    }
    assert [candidate.id for candidate in await visible(store, scope)] == [expected.id]
    assert sum(stats.count for stats in (await store.stats(scope)).values()) == 1


@pytest.mark.slow
@pytest.mark.parametrize("field", ["tenant", "namespace"])
async def test_scopes_are_separated_by_their_exact_names(store: MemoryStore, field: str) -> None:
    """Tenants and namespaces see only their own memories, even if their names are alike or have
    quotation marks.
    """
    fixed = uuid.uuid4().hex
    scopes = [
        Scope(fixed, name) if field == "namespace" else Scope(name, fixed) for name in HOSTILE
    ]
    memories = [make_memory(MemoryType.SEMANTIC, "the same words", scope) for scope in scopes]
    for scope, memory in zip(scopes, memories, strict=True):
        await keep(store, scope, memory)
    for scope, memory in zip(scopes, memories, strict=True):
        await assert_sees_only(
            store, scope, memory, [other for other in memories if other is not memory]
        )


@pytest.mark.slow
@pytest.mark.parametrize(
    "names",
    [
        ("t", "n2"),
        ("t2", "n"),
        ("n", "t"),
        ("T", "n"),
        ("t", "N"),
        ("t", "nn"),
        ("tn", ""),
        ("t ", "n"),
        ("t", "n1"),
    ],
)
async def test_no_write_reaches_another_scope(store: MemoryStore, names: tuple[str, str]) -> None:
    """Deletes and patches in a scope with a similar tenant or namespace leave the memory of another
    scope unchanged.
    """
    fixed = uuid.uuid4().hex
    mine = Scope(f"{fixed}t", f"{fixed}n")
    foreign = (
        Scope(f"{fixed}{names[0]}", f"{fixed}{names[1]}".strip())
        if names[0] != "t "
        else Scope(f"{fixed}tt", f"{fixed}n")
    )
    memory = make_memory(MemoryType.EPISODIC, "mine", mine)
    await keep(store, mine, memory)
    assert await store.delete(foreign, [memory.id]) == 0
    assert await store.delete_where(foreign, (), None) == 0
    assert await store.delete_where(foreign, (), EVERYTHING) == 0
    await store.patch(foreign, {memory.id: {"importance": 1, "tags": []}})
    await assert_sees_only(store, mine, memory, [])
    assert (await store.get(mine, [memory.id]))[memory.id] == memory


async def test_a_cursor_shows_nothing_of_another_scope(store: MemoryStore, scope: Scope) -> None:
    """A cursor from a page of one namespace lists, in another namespace, only memories of that
    other namespace.
    """
    other_scope = Scope(scope.tenant, f"{scope.namespace}-2")
    for owner in (scope, other_scope):
        await keep(
            store, owner, *(make_memory(MemoryType.EPISODIC, f"m{n}", owner) for n in range(4))
        )
    cursor = (await store.page(scope, Listing(limit=1))).next_cursor
    page = await store.page(other_scope, Listing(limit=10, cursor=cursor))
    assert {memory.namespace for memory in page.memories} <= {other_scope.namespace}
    assert page.total == 4


async def test_session_and_agent_do_not_restrict_reads_by_id(
    store: MemoryStore, scope: Scope
) -> None:
    memory = make_memory(MemoryType.WORKING, "w", Scope(scope.tenant, scope.namespace, "s1", "a1"))
    await keep(store, scope, memory)
    elsewhere = Scope(scope.tenant, scope.namespace, "s2", "a2")
    assert set(await store.get(elsewhere, [memory.id])) == {memory.id}
    assert (await store.page(elsewhere, Listing())).total == 1


async def test_private_memories_are_found_in_their_session_only(
    store: MemoryStore, scope: Scope
) -> None:
    first, second = (Scope(scope.tenant, scope.namespace, name) for name in ("s1", "s2"))
    private = make_memory(MemoryType.WORKING, "private", first)
    public = make_memory(MemoryType.SEMANTIC, "public", first)
    homeless = make_memory(MemoryType.WORKING, "of no session", scope)
    await keep(store, scope, private, public, homeless)
    assert {memory.id for memory in await visible(store, first)} == {private.id, public.id}
    assert {memory.id for memory in await visible(store, second)} == {public.id}
    assert {memory.id for memory in await visible(store, scope)} == {public.id}


async def test_a_tenants_namespaces_are_listed(store: MemoryStore) -> None:
    """The list of a tenant's namespaces has each namespace with at least one memory once, sorted by
    name.
    """
    tenant = f"t {uuid.uuid4()}"
    assert await store.namespaces(tenant) == []
    for name, kind in (
        ("b", MemoryType.WORKING),
        ("名前空間", MemoryType.EPISODIC),
        ("b", MemoryType.SEMANTIC),
    ):
        await keep(store, Scope(tenant, name), make_memory(kind, "x", Scope(tenant, name)))
    other_scope = Scope(f"{tenant}2", "c")
    await keep(store, other_scope, make_memory(MemoryType.SEMANTIC, "x", other_scope))
    assert await store.namespaces(tenant) == ["b", "名前空間"]
    await store.delete_where(Scope(tenant, "b"), tuple(MemoryType), None)
    assert await store.namespaces(tenant) == ["名前空間"]


async def test_a_scope_bound_to_agents_has_only_their_working_items(store: MemoryStore) -> None:
    """A scope that is limited to some agents cannot read, change or remove working items of others.

    Memories of other types are shared by all agents.
    """
    scope = Scope(uuid.uuid4().hex, "n")
    bound = Scope(scope.tenant, scope.namespace, agent_id="ann", agents=("ann",))
    owners = {"fact": "bob", "theirs": "ann", "other": "bob", "nobody's": None}
    kinds = {
        content: MemoryType.SEMANTIC if content == "fact" else MemoryType.WORKING
        for content in owners
    }
    shown = {"visibility": Visibility.NAMESPACE}
    memories = {
        content: make_memory(kinds[content], content, scope, agent_id=owner, **shown)
        for content, owner in owners.items()
    }
    for memory in memories.values():
        await keep(store, scope, memory)
    ids = {content: memory.id for content, memory in memories.items()}
    assert set(await store.get(bound, list(ids.values()))) == {ids["fact"], ids["theirs"]}
    assert {candidate.id for candidate in await visible(store, bound)} == {
        ids["fact"],
        ids["theirs"],
    }
    assert {memory.id for memory in await listed(store, bound, limit=9)} == {
        ids["fact"],
        ids["theirs"],
    }
    await store.patch(bound, {memory_id: {"importance": 1} for memory_id in ids.values()})
    assert await store.delete(bound, [ids["other"], ids["nobody's"]]) == 0
    unchanged = await store.get(scope, [ids["other"], ids["nobody's"]])
    assert {memory.importance for memory in unchanged.values()} == {memories["other"].importance}
    assert await store.delete_where(bound, (), EVERYTHING) == 2
    assert set(await store.get(scope, list(ids.values()))) == {ids["other"], ids["nobody's"]}
