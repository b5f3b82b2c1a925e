"""The address at which the command line looks for this machine's service."""

from __future__ import annotations

import pytest

from api.cli.client import is_live
from api.cli.mcp.starting import local_url


def test_the_address_of_the_service_is_a_url_for_any_host(monkeypatch: pytest.MonkeyPatch) -> None:
    """In the service's URL an IPv6 address gets brackets.

    A service that listens on all addresses is reached over loopback.
    """
    monkeypatch.setenv("REMEMBRANCER_HOST", "::1")
    monkeypatch.delenv("REMEMBRANCER_PORT", raising=False)
    assert local_url() == local_url("[::1]", 8707) == "http://[::1]:8707"
    assert local_url("0.0.0.0", 1) == "http://127.0.0.1:1"  # noqa: S104 - an address, no socket


def test_no_service_runs_at_an_impossible_address() -> None:
    """`is_live`, which checks whether a service runs at an address, returns False for a malformed
    address.
    """
    assert not is_live("http://::1:8707")
