"""Renders thread keys from Jinja templates: sandboxed, strict, and limited to members of five variables."""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

from jinja2 import StrictUndefined, TemplateError, nodes
from jinja2.sandbox import ImmutableSandboxedEnvironment

from memtypes.model.errors import InvalidRequest

VARIABLES = ("workflow", "user", "session", "project", "agent")
MAX_TEMPLATE = 2_000
_KEY = re.compile(r"[A-Za-z0-9_.:@-]{1,256}")
_ALLOWED_NODES = (nodes.Output, nodes.TemplateData, nodes.Name, nodes.Getattr, nodes.Template)


def _environment() -> ImmutableSandboxedEnvironment:
    return ImmutableSandboxedEnvironment(undefined=StrictUndefined, autoescape=False, cache_size=0)


def checked_template(text: str) -> str:
    """`text` itself, if it is a template of plain text and members such as {{ session.id }}."""
    if not 1 <= len(text) <= MAX_TEMPLATE:
        raise ValueError(f"a template must have 1 to {MAX_TEMPLATE} characters, has {len(text)}")
    try:
        tree = _environment().parse(text)
    except TemplateError as error:
        raise ValueError(f"{text!r} is not a valid template: {error}") from error
    for node in tree.find_all(nodes.Node):
        if problem := _problem(node):
            raise ValueError(f"a template {problem}")
    return text


def _problem(node: nodes.Node) -> str | None:
    """Why a template must not contain `node`; None if it may."""
    match node:
        case nodes.Name() if node.name not in VARIABLES:
            return f"may use {', '.join(VARIABLES)}, not {node.name!r}"
        case nodes.Getattr() if node.attr.startswith("_"):
            return f"must not read {node.attr!r}"
        case nodes.Output() if any(isinstance(piece, nodes.Name) for piece in node.nodes):
            return "may use members such as {{ session.id }}, not a whole variable"
        case nodes.Output() if _adjacent_members(node):
            return "needs text between two members, so that different values never give the same key"
        case _ if not isinstance(node, _ALLOWED_NODES):
            return f"may contain text and members such as {{{{ session.id }}}}, not {type(node).__name__.lower()}"
    return None


def _adjacent_members(node: nodes.Output) -> bool:
    members = [not isinstance(piece, nodes.TemplateData) for piece in node.nodes]
    return any(left and right for left, right in pairwise(members))


def rendered_key(template: str, variables: Mapping[str, Any]) -> str:
    """The key of `template` for `variables`. Raises InvalidRequest if it does not resolve to a valid key."""
    try:
        checked_template(template)
        members = {name: _members(name, variables[name]) for name in VARIABLES if name in variables}
        key = _environment().from_string(template).render(members)
        _check_separators(_environment().parse(template), members)
    except TemplateError as error:
        raise InvalidRequest(f"the key {template!r} does not resolve: {error}", path="variables") from error
    except ValueError as error:
        raise InvalidRequest(str(error), path="key", got=template) from error
    return checked_key(key)


def _members(name: str, value: object) -> dict[str, Any]:
    """The members of a variable as strings."""
    if not isinstance(value, Mapping):
        raise InvalidRequest(f"variables.{name} must be an object such as {{'id': ...}}", path=f"variables.{name}")
    return {str(member): _strings(f"{name}.{member}", inner) for member, inner in value.items()}


def _strings(name: str, value: object) -> Any:
    if isinstance(value, Mapping):
        return _members(name, value)
    if isinstance(value, bool) or not isinstance(value, str | int) or value == "":
        raise InvalidRequest(f"variables.{name} must be a string or an integer", path=f"variables.{name}")
    return str(value)


def _check_separators(tree: nodes.Template, members: Mapping[str, Any]) -> None:
    """Raise InvalidRequest if a value contains a separator: "a:b" and "c" must not give the key of "a" and "b:c"."""
    pieces = [piece for output in tree.find_all(nodes.Output) for piece in output.nodes]
    places = [place for place, piece in enumerate(pieces) if not isinstance(piece, nodes.TemplateData)]
    if len(places) < 2:
        return
    between = pieces[places[0] : places[-1]]
    separators = {char for piece in between if isinstance(piece, nodes.TemplateData) for char in piece.data}
    for place in places:
        value = _resolve(pieces[place], members)
        if clash := sorted(set(str(value)) & separators):
            raise InvalidRequest(
                f"a value in this key must not contain {clash[0]!r}, which separates it from the next",
                path="variables",
                got=value,
            )


def _resolve(node: nodes.Node, members: Mapping[str, Any]) -> Any:
    if isinstance(node, nodes.Getattr):
        parent = _resolve(node.node, members)
        return parent.get(node.attr) if isinstance(parent, Mapping) else None
    return members.get(node.name) if isinstance(node, nodes.Name) else None


def checked_key(key: str) -> str:
    """`key` itself. Raises InvalidRequest if it contains characters that a key must not have."""
    if not _KEY.fullmatch(key):
        raise InvalidRequest("a key has 1 to 256 letters, digits or characters of _ . : @ -", path="key", got=key[:300])
    if key.startswith("__") or key.endswith("__"):
        raise InvalidRequest("a key must not begin or end with __", path="key", got=key)
    return key
