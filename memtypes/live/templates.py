"""Templates for thread keys, such as "{{ user.id }}/{{ session.id }}": text with members of
VARIABLES.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import pairwise
from typing import Any, TypeAlias

from jinja2 import Environment, TemplateError, nodes

from memtypes.model.errors import InvalidRequest

VARIABLES = ("workflow", "user", "session", "project", "agent")
MAX_TEMPLATE = 2_000
MAX_KEY = 256

_AGENT_ID = ("agent", "id")

_MEMBER = rf"(?:{'|'.join(VARIABLES)})(?:\.\w+)+"

_FOREIGN = re.compile(
    # {user.id}, ${user.id}, #{user.id}, %{user.id} or { .user.id }: whatever the name
    r"[$#%@]?\{+\s*\.?([A-Za-z_]\w*(?:\.\w+)*)\s*\}+"
    # $user.id, %(user.id)s, <user.id> or [user.id]: only members of the variables
    rf"|[$@]({_MEMBER})|%\(({_MEMBER})\)s?|<({_MEMBER})>|\[({_MEMBER})\]"
)
"""A placeholder as other template languages write it."""

_Piece: TypeAlias = str | tuple[str, ...]
"""A part of a template: text, or the path of a variable's member, such as ("session", "id")."""


def checked_template(text: str) -> str:
    """Return `text` unchanged. Raises ValueError unless it is a valid template, such as "chat:{{
    session.id }}".
    """
    _pieces(text)
    return text


def _pieces(template: str) -> list[_Piece]:
    """Parse a template. Raises ValueError unless it is valid and different values always give
    different keys.
    """
    if not 1 <= len(template) <= MAX_TEMPLATE:
        raise ValueError(
            f"a template must have 1 to {MAX_TEMPLATE} characters, has {len(template)}"
        )
    try:
        body = Environment(autoescape=True).parse(template).body
    except TemplateError as error:
        hint = "write members as {{ workflow.id }}"
        raise ValueError(f"{template!r} is not a valid template: {error}; {hint}") from error
    leaves = [
        leaf for node in body for leaf in (node.nodes if isinstance(node, nodes.Output) else [node])
    ]
    pieces: list[_Piece] = [
        leaf.data if isinstance(leaf, nodes.TemplateData) else _path(leaf) for leaf in leaves
    ]
    if "{#" in template:
        raise ValueError("a template must not have a comment, whose text would be left out")
    _check_pieces(pieces)
    return pieces


def _check_pieces(pieces: list[_Piece]) -> None:
    """Raise ValueError unless different values give different keys."""
    for piece in pieces:
        if isinstance(piece, str):
            _check_literal(piece)
    if any(len(piece) == 1 for piece in pieces if isinstance(piece, tuple)):
        raise ValueError(
            "a template may use members such as {{ session.id }}, not a whole variable"
        )
    if any(
        isinstance(piece, tuple) and isinstance(following, tuple)
        for piece, following in pairwise(pieces)
    ):
        raise ValueError(
            "a template needs text between two members, so that different values never "
            "give the same key"
        )
    if any(
        isinstance(piece, tuple) and isinstance(text, str) and text[0] == "%"
        for piece, text in pairwise(pieces[:-1])
    ):
        raise ValueError(
            "text between two members must not begin with %, as encoded characters of a value do"
        )


def _check_literal(text: str) -> None:
    """Raise ValueError if `text`, a part of a template that is taken literally, looks like a
    placeholder: then all users would share one thread.
    """
    foreign = _FOREIGN.search(text)
    if foreign is None:
        return
    name = next(filter(None, foreign.groups()))
    variable, _, member = name.partition(".")
    if variable in VARIABLES:
        right = f"write {{{{ {variable}.{member or 'id'} }}}}"
    else:
        right = f"a template may use {', '.join(VARIABLES)}, written as {{{{ user.id }}}}"
    raise ValueError(f"{foreign[0]!r} would be taken literally, the same for all users: {right}")


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
    raise ValueError(
        f"a template may contain text and members such as {{{{ session.id }}}}, not {kind}"
    )


def rendered_key(template: str, variables: Mapping[str, Any]) -> str:
    """The thread key: `template` with each placeholder, such as {{ user.id }}, replaced by its
    value in `variables`.

    Different values give different keys, because these characters of a value are percent-encoded:
    "%", control characters, blanks at its ends, and the character that separates it from the next
    placeholder. Raises InvalidRequest if a value is missing or the key is invalid.
    """
    try:
        pieces = _pieces(template)
    except ValueError as error:
        raise InvalidRequest(str(error), path="key", got=template) from error
    members = {name: _texts(name, variables[name]) for name in VARIABLES if name in variables}
    key = "".join(
        piece if isinstance(piece, str) else _encoded(_value(template, piece, members), separator)
        for piece, separator in zip(pieces, _separators(pieces), strict=True)
    )
    if not 1 <= len(key) <= MAX_KEY:
        raise InvalidRequest(
            f"a key has 1 to {MAX_KEY} characters, not {len(key)}", path="key", got=key[:300]
        )
    if key != key.strip() or not key.isprintable():
        raise InvalidRequest(
            "a key has no control characters and no blanks at its ends", path="key", got=key
        )
    return key


def is_key_of(template: str, key: str, agent_id: str) -> bool:
    """Whether `template` can give `key` for the agent `agent_id`, whatever the values of the other
    variables are.
    """
    pattern = ""
    pieces = _pieces(template)
    for piece, separator in zip(pieces, _separators(pieces), strict=True):
        if piece == _AGENT_ID:
            pattern += re.escape(_encoded(agent_id, separator))
        elif isinstance(piece, str):
            pattern += re.escape(piece)
        else:
            pattern += f"[^{re.escape(separator)}]+" if separator else ".+"
    return re.fullmatch(pattern, key) is not None


def _separators(pieces: list[_Piece]) -> list[str]:
    """The separator of each placeholder: the character after it. "" for the last placeholder and
    for text.
    """
    last = max((index for index, piece in enumerate(pieces) if isinstance(piece, tuple)), default=0)
    return [
        text[0] if isinstance(piece, tuple) and isinstance(text, str) and index < last else ""
        for index, (piece, text) in enumerate(pairwise([*pieces, ""]))
    ]


def _encoded(value: str, separator: str) -> str:
    """`value` with "%", `separator`, unprintable characters and blanks at its ends
    percent-encoded.
    """
    start = len(value) - len(value.lstrip())
    end = len(value.rstrip())
    return "".join(
        char
        if char.isprintable() and char not in ("%", separator) and start <= index < end
        else "".join(f"%{byte:02X}" for byte in char.encode("utf-8", "surrogatepass"))
        for index, char in enumerate(value)
    )


def _texts(name: str, value: object) -> Any:
    """`value` with integers as text. Raises InvalidRequest unless it has only objects, integers and
    texts.
    """
    if isinstance(value, Mapping):
        return {str(member): _texts(f"{name}.{member}", inner) for member, inner in value.items()}
    if name in VARIABLES:
        raise InvalidRequest("must be an object such as {'id': ...}", path=f"variables.{name}")
    if isinstance(value, bool) or not isinstance(value, str | int) or value == "":
        raise InvalidRequest(
            "must be a string that is not empty, or an integer", path=f"variables.{name}"
        )
    return str(value)


def _value(template: str, path: tuple[str, ...], members: Mapping[str, Any]) -> str:
    """The text at `path` in `members`. Raises InvalidRequest, with the variables to send, if there
    is none.
    """
    value: Any = members
    for name in path:
        value = value.get(name) if isinstance(value, Mapping) else None
    if not isinstance(value, str):
        missing = '"..."'
        for name in reversed(path):
            missing = f'{{"{name}": {missing}}}'
        message = (
            f"the key {template!r} does not resolve: there is no {'.'.join(path)}; send "
            f"variables {missing}"
        )
        raise InvalidRequest(message, path="variables")
    return value
