"""Answers to the handshake and to list requests while no service runs, from the catalog that the service uses too."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Mapping
from typing import Any

from api.http.mcp.catalog import (
    INSTRUCTIONS,
    PROMPTS,
    RESOURCES,
    SERVER_NAME,
    SERVER_TITLE,
    ToolPreset,
    offered_tools,
)

MODERN_VERSIONS = ["2026-07-28"]

_CAPABILITIES = {
    "prompts": {"listChanged": False},
    "resources": {"listChanged": False, "subscribe": False},
    "tools": {"listChanged": False},
}
_STALE = {"ttlMs": 0, "cacheScope": "private", "resultType": "complete"}


def answer_from_catalog(method: str, tools: str, *, legacy_version: str | None) -> dict[str, Any] | None:
    """The result of a call that needs no service; None for any other call.

    legacy_version: the protocol version agreed on in the handshake; None for a message of a newer version, which has no
    handshake. Results for newer versions are marked as stale at once, so that the client asks again later.
    """
    if legacy_version is not None:
        initialized = {
            "protocolVersion": legacy_version,
            "capabilities": _CAPABILITIES,
            "serverInfo": _server_info(),
            "instructions": INSTRUCTIONS,
        }
        results: Mapping[str, Any] = _lists(tools) | {"initialize": initialized, "ping": {}}
        return results.get(method)
    discovered = {"supportedVersions": MODERN_VERSIONS, "capabilities": _CAPABILITIES, "instructions": INSTRUCTIONS}
    result = (_lists(tools) | {"server/discover": discovered}).get(method)
    stamp = {"_meta": {"io.modelcontextprotocol/serverInfo": _server_info()}}
    return None if result is None else {**result, **_STALE, **stamp}


def _lists(tools: str) -> dict[str, dict[str, Any]]:
    offered = offered_tools(ToolPreset(tools), may_write=True)
    return {
        "tools/list": {"tools": [tool.definition() for tool in offered]},
        "prompts/list": {"prompts": list(PROMPTS)},
        "resources/list": {"resources": []},
        "resources/templates/list": {"resourceTemplates": list(RESOURCES)},
    }


def _server_info() -> dict[str, str]:
    return {"name": SERVER_NAME, "title": SERVER_TITLE, "version": importlib.metadata.version(SERVER_NAME)}
