"""Reads configuration files in YAML, and writes user-facing messages for pydantic errors."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import re2
import yaml
from pydantic import BaseModel, ValidationError

from memtypes.model.errors import RemembrancerError
from memtypes.model.policy import MemoryType

Shape = TypeVar("Shape", bound=BaseModel)

YAML_ERRORS = (yaml.YAMLError, ValueError, TypeError, LookupError, AttributeError, RecursionError)
"""Errors that PyYAML raises for a text that it can't read; a date such as 2026-99-99 gives a plain
ValueError.
"""


class InvalidConfigFile(RemembrancerError):
    """A configuration file can't be read or is invalid. The message names the file, the key and
    what is wrong there.
    """


def read_text(path: Path, kind: str) -> str:
    """The text of the file at `path`. kind: what errors call it, such as "policy file". Raises
    InvalidConfigFile.
    """
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidConfigFile(f"{kind} {path}: can't be read: {error}") from error


def parse_yaml(text: str, shape: type[Shape], name: str) -> Shape:
    """Parse YAML text as an instance of `shape`. name: what errors call the file. Raises
    InvalidConfigFile.
    """
    return validated(load_yaml(text, name), shape, name)


def load_yaml(text: str, name: str) -> Any:
    """The value in YAML text; {} if the text is empty. name: what errors call the file. Raises
    InvalidConfigFile.
    """
    try:
        # A SafeLoader
        return yaml.load(text, _StrictLoader) or {}  # noqa: S506
    except YAML_ERRORS as error:
        raise InvalidConfigFile(f"{name}: not YAML: {error}") from error


def validated(value: Any, shape: type[Shape], name: str) -> Shape:
    """`value`, parsed YAML, as an instance of `shape`. name: what errors call the file. Raises
    InvalidConfigFile.
    """
    try:
        return shape.model_validate(value)
    except ValidationError as error:
        details = error.errors(include_url=False)[0]
        key = ".".join(map(str, details["loc"])) or "the file"
        got = details["input"]
        scalar = isinstance(got, str | int | float | bool | None)
        shown = repr(got) if scalar else "a list" if isinstance(got, list) else "an object"
        raise InvalidConfigFile(f"{name}: {key}: {message_of(details)} (got {shown})") from error


def re2_pattern(pattern: str) -> str:
    """Return `pattern` unchanged. Raises ValueError if it is not a valid RE2 pattern."""
    try:
        re2.compile(pattern)
    except re2.error as error:
        raise ValueError(f"{pattern!r} is not a valid RE2 pattern: {error}") from error
    return pattern


class _StrictLoader(yaml.SafeLoader):
    """YAML loader that refuses keys that are not strings, and repeated keys, of which PyYAML would
    use the last.
    """

    def construct_mapping(
        self,
        node: yaml.MappingNode,
        deep: bool = False,  # noqa: FBT001, FBT002 - the library's signature
    ) -> dict[Hashable, Any]:
        """Return the mapping that a YAML node contains. Raises YAMLError for a key that is repeated
        or no string.
        """
        names: set[object] = set()
        for key, _ in node.value:
            name = key.value if isinstance(key, yaml.ScalarNode) else None
            if name is None:
                raise yaml.MarkedYAMLError(
                    problem='a key must be a string; write "{{ ... }}" in quotes',
                    problem_mark=key.start_mark,
                )
            if name in names:
                raise yaml.MarkedYAMLError(
                    problem=f"the key {name!r} is repeated", problem_mark=key.start_mark
                )
            names.add(name)
        return super().construct_mapping(node, deep=deep)


_MESSAGES = {
    "missing": "is required",
    "extra_forbidden": "unknown field",
    **dict.fromkeys(
        ("dict_type", "model_type", "model_attributes_type", "mapping_type"), "must be an object"
    ),
    **dict.fromkeys(("list_type", "tuple_type"), "must be a list"),
    "union_tag_invalid": f"unknown type; known are {', '.join(MemoryType)}",
    "too_short": "must have {min_length} or more entries, has {actual_length}",
    "too_long": "must have at most {max_length} entries, has {actual_length}",
}


def message_of(error: Mapping[str, Any]) -> str:
    """User-facing message for one entry of pydantic's `ValidationError.errors()`, such as "is
    required".
    """
    message = _MESSAGES.get(error["type"])
    if message is None:
        return str(error["msg"]).removeprefix("Value error, ")
    return message.format_map(error.get("ctx", {}))
