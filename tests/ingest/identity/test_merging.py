"""Merging a stored memory with a memory that repeats it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from ingest.identity.merging import (
    MAX_SESSIONS,
    changed_fields,
    joined,
    joined_links,
    with_evidence,
)
from memtypes.model.memory import MAX_LINKS, MAX_SOURCES, MAX_TAGS, Link, LinkType, Memory, Source
from memtypes.model.policy import MemoryType
from tests.builders import NOW, make_memory

SOURCES = st.builds(Source, caller=st.sampled_from(["Ann", "Bob", "Cid"]))
LINKS = st.builds(
    Link,
    to=st.sampled_from(["a", "b"]),
    type=st.sampled_from(LinkType),
    strength=st.floats(min_value=0, max_value=1, allow_nan=False),
)
FIELDS = st.fixed_dictionaries(
    {
        "pinned": st.booleans(),
        "importance": st.integers(1, 10),
        "expires_at": st.sampled_from([None, NOW + timedelta(days=1), NOW + timedelta(days=2)]),
        "tags": st.lists(st.sampled_from("abc"), unique=True),
        "links": st.lists(LINKS, max_size=3, unique_by=lambda link: (link.to, link.type)),
        "metadata": st.dictionaries(st.sampled_from("xyz"), st.integers()),
        "source": st.none() | SOURCES,
        "concept": st.none() | st.sampled_from(["Tea", "Green tea"]),
    }
)


def fact(**fields: Any) -> Memory:
    """A fact with the given fields."""
    return make_memory(MemoryType.SEMANTIC, "The tea is green.", **fields)


def merged(stored: Memory, repetition: Memory) -> Memory:
    """The memory that results if the write `repetition` is merged into the stored memory
    `stored`.
    """
    return stored.model_copy(update=joined(stored, repetition))


@given(FIELDS, FIELDS)
def test_a_merge_keeps_what_both_writes_set(first: dict[str, Any], second: dict[str, Any]) -> None:
    """A merged memory has the tags, links, sources and metadata of both writes. If either is
    pinned, it is pinned.

    It has the higher importance and the later expiry of the two.
    """
    known = fact(**first)
    again = fact(**second)
    memory = merged(known, again)
    assert memory == known.replace(**joined(known, again))
    for written in (known, again):
        assert memory.pinned >= written.pinned
        assert memory.importance >= written.importance
        assert memory.expires_at is None or (
            written.expires_at is not None and memory.expires_at >= written.expires_at
        )
        assert set(memory.tags) >= set(written.tags)
        assert set(memory.metadata) >= set(written.metadata)
        assert {(link.to, link.type) for link in memory.links} >= {
            (link.to, link.type) for link in written.links
        }
        assert written.source is None or written.source in (memory.source, *memory.sources)
    assert {key: memory.metadata[key] for key in again.metadata} == again.metadata


@given(FIELDS, FIELDS)
def test_a_repeated_merge_changes_nothing(first: dict[str, Any], second: dict[str, Any]) -> None:
    """Merging the same write a second time changes no field, and neither does merging a memory with
    itself.
    """
    known = fact(**first)
    again = fact(**second)
    once = merged(known, again)
    assert changed_fields(once, merged(once, again)) == ()
    assert changed_fields(known, merged(known, known)) == ()


def test_a_merge_drops_new_list_entries_beyond_the_limits() -> None:
    """If a memory has as many tags, links, sources and sessions as it may have, a merge adds no
    further ones.
    """
    many = fact(
        tags=[f"t{n}" for n in range(MAX_TAGS)],
        links=[Link(to=f"m{n}", type=LinkType.EXTENDS) for n in range(MAX_LINKS)],
        source=Source(caller="first"),
        sources=[Source(caller=f"c{n}") for n in range(MAX_SOURCES)],
        source_sessions=[f"s{n}" for n in range(MAX_SESSIONS)],
    )
    again = fact(
        tags=["new"],
        links=[Link(to="new", type=LinkType.EXTENDS)],
        source=Source(caller="new"),
        source_sessions=["new"],
    )
    assert changed_fields(many, merged(many, again)) == ()
    assert with_evidence(many, again) == {
        "evidence_count": 2,
        "source_sessions": many.source_sessions,
    }


def test_a_merge_keeps_the_stronger_of_two_equal_links() -> None:
    weak, strong = (
        Link(to="a", type=LinkType.EXTENDS, strength=strength) for strength in (0.2, 0.8)
    )
    other = Link(to="a", type=LinkType.REFINES)
    assert (
        joined_links([weak], [strong, other])
        == joined_links([strong], [weak, other])
        == [strong, other]
    )


def test_fields_that_a_merge_changed_are_listed_in_the_order_of_the_class() -> None:
    known = fact(importance=3, tags=["a"])
    assert changed_fields(known, merged(known, fact(importance=8, tags=["a"], pinned=True))) == (
        "importance",
        "pinned",
    )
