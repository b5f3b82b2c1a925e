"""Templates of thread keys, and the keys they give: Jinja's syntax, limited to text and members of five variables."""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import pairwise
from typing import Any, TypeAlias

from jinja2 import Environment, TemplateError, nodes

from memtypes.model.errors import InvalidRequest

VARIABLES = ("workflow", "user", "session", "project", "agent")
MAX_TEMPLATE = 2_000
_KEY = re.compile(r"[A-Za-z0-9_.:@-]{1,256}")

_AGENT_ID = ("agent", "id")

_Piece: TypeAlias = str | tuple[str, ...]
"""Text, or the path of a member, such as ("session", "id")."""


def checked_template(text: str) -> str:
    """`text` itself, if it is a template of plain text and members such as {{ session.id }}."""
    _pieces(text)
    return text


def _pieces(template: str) -> list[_Piece]:
    if not 1 <= len(template) <= MAX_TEMPLATE:
        raise ValueError(f"a template must have 1 to {MAX_TEMPLATE} characters, has {len(template)}")
    try:
        body = Environment(autoescape=True).parse(template).body
    except TemplateError as error:
        raise ValueError(f"{template!r} is not a valid template: {error}") from error
    parts = [part for node in body for part in (node.nodes if isinstance(node, nodes.Output) else [node])]
    pieces: list[_Piece] = [part.data if isinstance(part, nodes.TemplateData) else _path(part) for part in parts]
    if any(len(piece) == 1 for piece in pieces if isinstance(piece, tuple)):
        raise ValueError("a template may use members such as {{ session.id }}, not a whole variable")
    if any(isinstance(left, tuple) and isinstance(right, tuple) for left, right in pairwise(pieces)):
        raise ValueError("a template needs text between two members, so that different values never give the same key")
    return pieces


def _path(node: nodes.Node) -> tuple[str, ...]:
    match node:
        case nodes.Getattr() if node.attr.startswith("_"):
            raise ValueError(f"a template must not read {node.attr!r}")
        case nodes.Getattr():
            return (*_path(node.node), node.attr)
        case nodes.Name() if node.name in VARIABLES:
            return (node.name,)
        case nodes.Name():
            raise ValueError(f"a template may use {', '.join(VARIABLES)}, not {node.name!r}")
    kind = type(node).__name__.lower()
    raise ValueError(f"a template may contain text and members such as {{{{ session.id }}}}, not {kind}")


def rendered_key(template: str, variables: Mapping[str, Any]) -> str:
    """The thread key of `template` with the values of `variables`. Raises InvalidRequest if it gives no valid key."""
    try:
        pieces = _pieces(template)
    except ValueError as error:
        raise InvalidRequest(str(error), path="key", got=template) from error
    members = {name: _members(name, variables[name]) for name in VARIABLES if name in variables}
    values = {path: _value(template, path, members) for path in pieces if isinstance(path, tuple)}
    _check_separators(pieces, values)
    key = "".join(piece if isinstance(piece, str) else values[piece] for piece in pieces)
    if not _KEY.fullmatch(key):
        raise InvalidRequest("a key has 1 to 256 letters, digits or characters of _ . : @ -", path="key", got=key[:300])
    if key.startswith("__") or key.endswith("__"):
        raise InvalidRequest("a key must not begin or end with __", path="key", got=key)
    return key


def is_key_of(template: str, key: str, agent_id: str) -> bool:
    """Whether `template` may give `key` for the agent `agent_id`, whatever its other variables are."""
    pattern = ""
    for piece in _pieces(template):
        if piece == _AGENT_ID:
            pattern += re.escape(rendered_key("{{ agent.id }}", {"agent": {"id": agent_id}}))
        else:
            pattern += re.escape(piece) if isinstance(piece, str) else ".+"
    return re.fullmatch(pattern, key) is not None


def _members(name: str, value: object) -> dict[str, Any]:
    """Members of the variable `name`, whose value is a mapping, with texts as leaves."""
    if not isinstance(value, Mapping):
        raise InvalidRequest(f"variables.{name} must be an object such as {{'id': ...}}", path=f"variables.{name}")
    return {str(member): _strings(f"{name}.{member}", inner) for member, inner in value.items()}


def _strings(name: str, value: object) -> Any:
    if isinstance(value, Mapping):
        return _members(name, value)
    if isinstance(value, bool) or not isinstance(value, str | int) or value == "":
        raise InvalidRequest(f"variables.{name} must be a string or an integer", path=f"variables.{name}")
    return str(value)


def _value(template: str, path: tuple[str, ...], members: Mapping[str, Any]) -> str:
    value: Any = members
    for name in path:
        value = value.get(name) if isinstance(value, Mapping) else None
    if not isinstance(value, str):
        raise InvalidRequest(f"the key {template!r} does not resolve: there is no {'.'.join(path)}", path="variables")
    return value


def _check_separators(pieces: list[_Piece], values: Mapping[tuple[str, ...], str]) -> None:
    """Raise InvalidRequest if a value contains a separator: "a:b" and "c" must not give the key of "a" and "b:c"."""
    places = [place for place, piece in enumerate(pieces) if isinstance(piece, tuple)]
    between = pieces[places[0] : places[-1]] if places else []
    separators = {char for piece in between if isinstance(piece, str) for char in piece}
    for value in values.values():
        if clash := sorted(set(value) & separators):
            message = f"a value in this key must not contain {clash[0]!r}, which separates it from the next"
            raise InvalidRequest(message, path="variables", got=value)
