"""Index paths, which select the texts of an item's JSON value to embed. They are written as in
LangGraph.

Examples: `title`, `author.name`, `parts[0].text`, `parts[*].text`; `*` for every member;
`{title,author.name}` for several fields; `$` for the whole value.
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
"""Characters after which a value's text is cut at the next member; the default encoder reads only
256 tokens.
"""

SHORT = 3
"""Maximum words of a text before which the name of its member is embedded, as in `color: red`."""

_STEP = re.compile(r"\[(-?\d+|\*)\]|\{([^{}]*)\}|([^.\[\]{}]+)")
"""One step of an index path: an index into a list, a choice of fields, or the name of a member (`*`
for every one).
"""


def check_index_path(path: str) -> str:
    """Return `path` unchanged. Raises ValueError if it is not a valid index path."""
    if path != WHOLE:
        if path.startswith(WHOLE):
            raise ValueError(
                "index paths are written without `$`: title, author.name, parts[*].text"
            )
        steps_of(path)
    return path


IndexPaths: TypeAlias = Annotated[
    list[
        Annotated[
            str,
            StringConstraints(min_length=1, max_length=MAX_PATH),
            AfterValidator(check_index_path),
        ]
    ],
    Field(max_length=MAX_PATHS),
]
"""The index paths of an item, as a client sends them or an import contains them."""


def texts_at(value: Any, paths: Sequence[str] | None) -> list[str]:
    """The distinct texts of a value at `paths`; None for one text of the whole value.

    Raises InvalidRequest for more than MAX_TEXTS texts.
    """
    members = (
        member
        for path in ([WHOLE] if paths is None else paths)
        for member in _members([value], path)
    )
    texts = list(
        islice((text for member in members if (text := text_of(member)).strip()), MAX_TEXTS + 1)
    )
    if len(texts) > MAX_TEXTS:
        raise InvalidRequest(
            f"gives more than {MAX_TEXTS} texts, the most that can be indexed", path="index"
        )
    return list(dict.fromkeys(texts))


def steps_of(path: str) -> list[str]:
    """The steps of an index path, such as ["parts", "[*]", "text"]. Raises ValueError if `path` is
    invalid.
    """
    steps: list[str] = []
    offset = 0
    while offset < len(path):
        if path[offset] == "." and steps:
            offset += 1
        step = _STEP.match(path, offset)
        if step is None:
            raise ValueError(
                f"is not a path (at character {offset + 1}): write title, author.name or "
                "parts[*].text"
            )
        for field in step[2].split(",") if step[2] is not None else ():
            steps_of(field.strip())
        steps.append(step[0])
        offset = step.end()
    if not steps:
        raise ValueError("must not be empty")
    return steps


def _members(values: Iterable[Any], path: str) -> Iterable[Any]:
    """The members of the JSON `values` that the index path selects. A member selected twice is
    returned once.
    """
    for step in [] if path == WHOLE else steps_of(path):
        values = {id(member): member for member in _step(values, step)}.values()
    return values


def _step(values: Iterable[Any], step: str) -> Iterator[Any]:
    """Yield the members of the JSON `values` that one step of an index path selects."""
    if step.startswith("{"):
        for field in dict.fromkeys(step[1:-1].split(",")):
            yield from _members(values, field.strip())
        return
    index = int(step[1:-1]) if step.startswith("[") and step != "[*]" else None
    for value in values:
        match value:
            case list() if step in ("*", "[*]"):
                yield from value
            case list() if index is not None and -len(value) <= index < len(value):
                yield value[index]
            case dict() if step == "*":
                yield from value.values()
            case dict() if not step.startswith("[") and step in value:
                yield value[step]


def text_of(value: Any) -> str:
    """A JSON value as text to embed: a line for each scalar, after its member's name if it has at
    most SHORT words.
    """
    lines = []
    length = 0
    for line in _lines(value, ""):
        lines.append(line)
        length += len(line)
        if length > MAX_TEXT:
            break
    return "\n".join(lines)


def _lines(value: Any, name: str) -> Iterator[str]:
    if isinstance(value, dict):
        for key, member in value.items():
            yield from _lines(member, key)
    elif isinstance(value, list):
        for member in value:
            yield from _lines(member, name)
    elif value is not None:
        text = value if isinstance(value, str) else json.dumps(value)
        named = name and len(text.split(maxsplit=SHORT)) <= SHORT
        yield f"{name}: {text}" if named else text
