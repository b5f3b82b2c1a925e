"""API keys, and the keys file."""

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


def test_without_keys_every_caller_is_the_default_admin() -> None:
    """An empty ring accepts any key, and none."""
    assert KeyRing().caller(None) == Caller("default", Role.ADMIN)
    assert KeyRing().caller("anything") == Caller("default", Role.ADMIN)


def test_known_key_has_its_tenant_and_role() -> None:
    """The caller is the tenant and role of the key's entry."""
    caller = RING.caller("writer-key-1")
    assert caller is not None
    assert (caller.tenant, caller.role) == ("other", Role.WRITER)


@given(st.none() | st.text())
def test_unknown_keys_have_no_caller(key: str | None) -> None:
    """Any other text, or no key, is refused."""
    if key not in ("reader-key-1", "writer-key-1"):
        assert RING.caller(key) is None


def test_ring_holds_only_hashes() -> None:
    """The representation of a ring contains no key."""
    assert "writer-key-1" not in repr(RING)


def test_each_role_includes_the_lower_ones() -> None:
    """An admin may do what a writer may, and a writer what a reader may."""
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
def test_invalid_keys_file_is_refused_with_place_and_reason(tmp_path: Path, text: str, why: str) -> None:
    """The message names the file, the entry and the field, and contains no key."""
    path = tmp_path / "keys.json"
    path.write_text(text)
    with pytest.raises(BadKeys, match=why) as caught:
        load_keys(path)
    assert str(path) in str(caught.value)
    assert "abcdefgh" not in str(caught.value)


def test_a_missing_keys_file_is_refused(tmp_path: Path) -> None:
    """A configured path must exist."""
    with pytest.raises(BadKeys, match="cannot be read"):
        load_keys(tmp_path / "none.json")


def test_keys_file_is_loaded(tmp_path: Path) -> None:
    """The ring knows the keys of the file."""
    path = tmp_path / "keys.json"
    path.write_text('[{"key": "abcdefgh", "tenant": "acme", "role": "admin"}]')
    caller = load_keys(path).caller("abcdefgh")
    assert caller is not None
    assert (caller.tenant, caller.role) == ("acme", Role.ADMIN)
