"""Keys from templates: sandboxed, strict, members of five names only. What does not resolve is an error."""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

from jinja2 import StrictUndefined, TemplateError, nodes
from jinja2.sandbox import ImmutableSandboxedEnvironment

from memtypes.model.errors import InvalidRequest

ROOTS = ("workflow", "user", "session", "project", "agent")
MAX_TEMPLATE = 2_000
_KEY = re.compile(r"[A-Za-z0-9_.:@-]{1,256}")
_ALLOWED = (nodes.Output, nodes.TemplateData, nodes.Name, nodes.Getattr, nodes.Template)


def _environment() -> ImmutableSandboxedEnvironment:
    return ImmutableSandboxedEnvironment(undefined=StrictUndefined, autoescape=False, cache_size=0)


def checked_template(text: str) -> str:
    """`text` itself when it is a template of plain text and members such as {{ session.id }}."""
    if not 1 <= len(text) <= MAX_TEMPLATE:
        raise ValueError(f"a template must have 1 to {MAX_TEMPLATE} characters, has {len(text)}")
    try:
        tree = _environment().parse(text)
    except TemplateError as error:
        raise ValueError(f"{text!r} is no template: {error}") from error
    for node in tree.find_all(nodes.Node):
        if wrong := _wrong(node):
            raise ValueError(f"a template {wrong}")
    return text


def _wrong(node: nodes.Node) -> str | None:
    """What a template must not have of this; None where it may."""
    match node:
        case nodes.Name() if node.name not in ROOTS:
            return f"knows {', '.join(ROOTS)}, not {node.name!r}"
        case nodes.Getattr() if node.attr.startswith("_"):
            return f"must not read {node.attr!r}"
        case nodes.Output() if any(isinstance(piece, nodes.Name) for piece in node.nodes):
            return "reads members such as {{ session.id }}, not a whole variable"
        case nodes.Output() if _adjacent(node):
            return "needs text between two members, or two different scopes could share a key"
        case _ if not isinstance(node, _ALLOWED):
            return f"has text and members like {{{{ session.id }}}} only, not {type(node).__name__.lower()}"
    return None


def _adjacent(node: nodes.Output) -> bool:
    members = [not isinstance(piece, nodes.TemplateData) for piece in node.nodes]
    return any(one and other for one, other in pairwise(members))


def rendered(template: str, variables: Mapping[str, Any]) -> str:
    """The key of `template` over `variables`. Raises InvalidRequest when it does not resolve to a fit key."""
    try:
        checked_template(template)
        told = {root: _members(root, variables[root]) for root in ROOTS if root in variables}
        key = _environment().from_string(template).render(told)
        _refuse_ambiguous(_environment().parse(template), told)
    except TemplateError as error:
        raise InvalidRequest(f"the key {template!r} does not resolve: {error}", path="variables") from error
    except ValueError as error:
        raise InvalidRequest(str(error), path="key", got=template) from error
    return checked_key(key)


def _members(root: str, value: object) -> dict[str, Any]:
    """The members of a variable as texts; only texts and whole numbers can stand in a key."""
    if not isinstance(value, Mapping):
        raise InvalidRequest(f"variables.{root} must be an object such as {{'id': ...}}", path=f"variables.{root}")
    return {str(name): _leaf(f"{root}.{name}", one) for name, one in value.items()}


def _leaf(name: str, value: object) -> Any:
    if isinstance(value, Mapping):
        return {str(inner): _leaf(f"{name}.{inner}", one) for inner, one in value.items()}
    if isinstance(value, bool) or not isinstance(value, str | int) or value == "":
        raise InvalidRequest(f"variables.{name} must be a text or a whole number", path=f"variables.{name}")
    return str(value)


def _refuse_ambiguous(tree: nodes.Template, told: Mapping[str, Any]) -> None:
    """Raise InvalidRequest where a value holds what separates it from the next: "a:b" and "c" are not "a" and "b:c"."""
    pieces = [piece for output in tree.find_all(nodes.Output) for piece in output.nodes]
    places = [place for place, piece in enumerate(pieces) if not isinstance(piece, nodes.TemplateData)]
    if len(places) < 2:
        return
    between = "".join(piece.data for piece in pieces[places[0] : places[-1]] if isinstance(piece, nodes.TemplateData))
    for place in places:
        value = _looked_up(pieces[place], told)
        clash = sorted(set(str(value)) & set(between))
        if clash:
            raise InvalidRequest(
                f"a value in this key must not contain {clash[0]!r}, which separates it from the next",
                path="variables",
                got=value,
            )


def _looked_up(node: nodes.Node, told: Mapping[str, Any]) -> Any:
    if isinstance(node, nodes.Getattr):
        holder = _looked_up(node.node, told)
        return holder.get(node.attr) if isinstance(holder, Mapping) else None
    return told.get(node.name) if isinstance(node, nodes.Name) else None


def checked_key(key: str) -> str:
    """`key` itself. Raises InvalidRequest when it has other characters than a key may have."""
    if not _KEY.fullmatch(key):
        raise InvalidRequest("a key has 1 to 256 of letters, digits and _ . : @ -", path="key", got=key[:300])
    if key.startswith("__") or key.endswith("__"):
        raise InvalidRequest("a key must not begin or end with __", path="key", got=key)
    return key
