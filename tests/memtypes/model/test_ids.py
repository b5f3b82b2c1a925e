"""Ids of memories: which contents and fields give the same id."""

from __future__ import annotations

import unicodedata
import uuid

from hypothesis import given
from hypothesis import strategies as st

from memtypes.model.ids import content_hash, memory_id, normalise
from memtypes.model.scope import Scope

SCOPE = Scope("acme", "shop")
identities = st.lists(st.one_of(st.none(), st.text(max_size=20)), max_size=4).map(tuple)


@given(st.text())
def test_normalising_twice_changes_nothing(text: str) -> None:
    """Normalising content that is already normalised returns it unchanged."""
    assert normalise(normalise(text)) == normalise(text)


@given(st.text())
def test_white_space_and_unicode_form_do_not_change_the_content_hash(text: str) -> None:
    spaced = "\n\t" + "  ".join(text.split()) + " "
    assert content_hash(unicodedata.normalize("NFD", spaced)) == content_hash(text)


def test_contents_that_differ_in_case_have_different_hashes() -> None:
    assert content_hash("tar -C x") != content_hash("tar -c x")


@given(identities, identities)
def test_different_identities_never_share_an_id(
    first: tuple[str | None, ...], second: tuple[str | None, ...]
) -> None:
    """Ids differ if any value that identifies a memory differs: ("a", "b") and ("ab",), or None and
    "None".
    """
    assert (memory_id(SCOPE, "semantic", first) == memory_id(SCOPE, "semantic", second)) == (
        first == second
    )


@given(st.text(min_size=1, max_size=10), st.text(min_size=1, max_size=10))
def test_an_id_depends_on_tenant_namespace_and_type(kind: str, suffix: str) -> None:
    ids = {memory_id(Scope("t", "a"), kind, ("x",)), memory_id(Scope("t", "b"), kind, ("x",))}
    ids |= {
        memory_id(Scope("u", "a"), kind, ("x",)),
        memory_id(Scope("t", "a"), kind + suffix, ("x",)),
    }
    assert len(ids) == 4
    assert all(uuid.UUID(value).version == 5 for value in ids)
