"""Index paths: they select the texts in an item's JSON value that are embedded. They are written as in LangGraph.

Examples: `title`, `author.name`, `parts[0].text`, `parts[*].text`; `*` for every member; `{title,author.name}` for
several fields; `$` for the whole value.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Annotated, Any, TypeAlias

from pydantic import AfterValidator, Field, StringConstraints

from memtypes.model.errors import InvalidRequest

WHOLE = "$"
MAX_PATHS = 64
MAX_PATH = 512
MAX_TEXTS = 256
"""Maximum number of texts that are embedded for one item; each takes some milliseconds."""

MAX_TEXT = 20_000
"""Characters after which no more members of a value are added to its text; the default encoder reads 256 tokens."""

SHORT = 3
"""Maximum words of a text that is embedded with the name of its member, as in `color: red`."""

_TOKEN = re.compile(r"\[(-?\d+|\*)\]|\{([^{}]*)\}|([^.\[\]{}]+)")
"""One step of an index path: an index into a list, a choice of fields, or the name of a member (`*` for every one)."""


def check_index_path(path: str) -> str:
    """`path` itself. Raises ValueError if it is not a valid index path."""
    if path != WHOLE:
        if path.startswith(WHOLE):
            raise ValueError("index paths are written without `$`: title, author.name, parts[*].text")
        tokenized(path)
    return path


IndexPaths: TypeAlias = Annotated[
    list[Annotated[str, StringConstraints(min_length=1, max_length=MAX_PATH), AfterValidator(check_index_path)]],
    Field(max_length=MAX_PATHS),
]
"""The index paths of an item, as a client sends them or an import contains them."""


def texts_at(value: Any, paths: Sequence[str] | None) -> list[str]:
    """The distinct texts of a value at `paths` (None: all of it). Raises InvalidRequest for more than MAX_TEXTS."""
    places = [WHOLE] if paths is None else paths
    lazy = (text for path in places for part in _parts([value], path) if (text := text_of(part)).strip())
    texts = list(islice(lazy, MAX_TEXTS + 1))
    if len(texts) > MAX_TEXTS:
        raise InvalidRequest(f"gives more than {MAX_TEXTS} texts, the most that can be indexed", path="index")
    return list(dict.fromkeys(texts))


def tokenized(path: str) -> list[str]:
    """The steps of an index path, such as ["parts", "[*]", "text"]. Raises ValueError if `path` is invalid."""
    steps: list[str] = []
    at = 0
    while at < len(path):
        if path[at] == "." and steps:
            at += 1
        token = _TOKEN.match(path, at)
        if token is None:
            raise ValueError(f"is not a path (at character {at + 1}): write title, author.name or parts[*].text")
        for field in token[2].split(",") if token[2] is not None else ():
            tokenized(field.strip())
        steps.append(token[0])
        at = token.end()
    if not steps:
        raise ValueError("must not be empty")
    return steps


def _parts(values: Iterable[Any], path: str) -> Iterable[Any]:
    """The parts of the JSON `values` that the index path selects. A part selected twice is returned once."""
    for step in [] if path == WHOLE else tokenized(path):
        values = {id(part): part for part in _step(values, step)}.values()
    return values


def _step(values: Iterable[Any], step: str) -> Iterator[Any]:
    """The parts of the JSON `values` that one step of an index path selects."""
    if step.startswith("{"):
        for field in dict.fromkeys(step[1:-1].split(",")):
            yield from _parts(values, field.strip())
        return
    place = int(step[1:-1]) if step.startswith("[") and step != "[*]" else None
    for value in values:
        match value:
            case list() if step in ("*", "[*]"):
                yield from value
            case list() if place is not None and -len(value) <= place < len(value):
                yield value[place]
            case dict() if step == "*":
                yield from value.values()
            case dict() if not step.startswith("[") and step in value:
                yield value[step]


def text_of(value: Any) -> str:
    """A JSON value as text to embed: a line for each scalar, with its member's name if it has at most SHORT words."""
    lines, length = [], 0
    for line in _lines(value, ""):
        lines.append(line)
        length += len(line)
        if length > MAX_TEXT:
            break
    return "\n".join(lines)


def _lines(value: Any, name: str) -> Iterator[str]:
    if isinstance(value, dict):
        for member, part in value.items():
            yield from _lines(part, member)
    elif isinstance(value, list):
        for part in value:
            yield from _lines(part, name)
    elif value is not None:
        text = value if isinstance(value, str) else json.dumps(value)
        named = name and len(text.split(maxsplit=SHORT)) <= SHORT
        yield f"{name}: {text}" if named else text
