"""API keys: who is let in, and what a keys file must look like."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.auth.keys import BadKeys, Caller, KeyEntry, KeyRing, Role, load_keys

RING = KeyRing.of(
    [
        KeyEntry(key="reader-key-1", tenant="acme", role=Role.READER),
        KeyEntry(key="writer-key-1", tenant="other", role=Role.WRITER),
    ]
)


def test_without_keys_everybody_is_the_default_tenants_admin() -> None:
    """An empty ring asks for nothing."""
    assert KeyRing().caller(None) == Caller("default", Role.ADMIN)
    assert KeyRing().caller("anything") == Caller("default", Role.ADMIN)


def test_a_known_key_says_tenant_and_role() -> None:
    """Each key has its own tenant and role."""
    caller = RING.caller("writer-key-1")
    assert caller is not None
    assert (caller.tenant, caller.role) == ("other", Role.WRITER)


@given(st.none() | st.text())
def test_no_other_text_is_a_key(key: str | None) -> None:
    """Nothing but a key opens."""
    if key not in ("reader-key-1", "writer-key-1"):
        assert RING.caller(key) is None


def test_a_ring_does_not_hold_its_keys() -> None:
    """Only hashes are kept."""
    assert "writer-key-1" not in repr(RING)


def test_roles_build_on_each_other() -> None:
    """Each role may do what the one before it may."""
    allowed = [(has, needs) for has in Role for needs in Role if has.may(needs)]
    assert len(allowed) == 6
    assert (Role.READER, Role.WRITER) not in allowed
    assert (Role.ADMIN, Role.READER) in allowed


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{", "not JSON"),
        ("{}", "the file: must be a list"),
        ("[]", "has no keys"),
        ('[{"key": "abcdefgh", "tenant": "t", "role": "reader"}, {"key": "short", "tenant": "t", "role": "reader"}]',
         "entry 1, key: .*at least 8"),
        ('[{"key": "abcdefgh", "tenant": "t", "role": "king"}]', "entry 0, role"),
        ('[{"key": "abcdefgh", "role": "reader"}]', "entry 0, tenant: is required"),
        ('[{"key": "abcdefgh", "tenant": " t", "role": "reader"}]', "entry 0, tenant"),
        ('[{"key": "abcdefgh", "tenant": "t", "role": "reader", "x": 1}]', "entry 0, x"),
        (json.dumps([{"key": "abcdefgh", "tenant": "t", "role": "reader"}] * 2), "same key"),
    ],
)  # fmt: skip
def test_a_wrong_keys_file_is_refused_with_where_and_why(tmp_path: Path, text: str, why: str) -> None:
    """The message names the file, the entry and the field, and shows no key."""
    path = tmp_path / "keys.json"
    path.write_text(text)
    with pytest.raises(BadKeys, match=why) as caught:
        load_keys(path)
    assert str(path) in str(caught.value)
    assert "abcdefgh" not in str(caught.value)


def test_a_missing_keys_file_is_refused(tmp_path: Path) -> None:
    """A path that leads nowhere is not the same as no keys."""
    with pytest.raises(BadKeys, match="cannot be read"):
        load_keys(tmp_path / "none.json")


def test_a_keys_file_becomes_a_ring(tmp_path: Path) -> None:
    """What is in the file opens."""
    path = tmp_path / "keys.json"
    path.write_text('[{"key": "abcdefgh", "tenant": "acme", "role": "admin"}]')
    caller = load_keys(path).caller("abcdefgh")
    assert caller is not None
    assert (caller.tenant, caller.role) == ("acme", Role.ADMIN)
