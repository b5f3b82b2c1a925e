"""What an operator writes in a YAML file, checked whole; a mistake is told with file, place, value and what fits."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from memtypes.config.error_messages import message_of
from memtypes.model.errors import RemembrancerError

Shape = TypeVar("Shape", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Source:
    """How a file is spoken of, and the error that its mistakes are raised as."""

    name: str
    error: type[RemembrancerError]

    def text(self, path: Path) -> str:
        """What the file holds."""
        try:
            return path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise self.error(f"{self.name}: can't be read: {error}") from error

    def parsed(self, text: str, shape: type[Shape]) -> Shape:
        """`text` as `shape` has it."""
        try:
            return shape.model_validate(yaml.load(text, _Strict) or {})  # noqa: S506 - a SafeLoader
        except yaml.YAMLError as error:
            raise self.error(f"{self.name}: not YAML: {error}") from error
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            place = ".".join(map(str, first["loc"])) or "the file"
            got = first["input"] if isinstance(first["input"], str | int | float | bool | None) else "what stands there"
            raise self.error(f"{self.name}: {place}: {message_of(first)} (got {got!r})") from error


class _Strict(yaml.SafeLoader):
    """Takes no name twice: YAML would let the last one win, and the first be forgotten."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:  # noqa: FBT001, FBT002 - the library's signature
        """The mapping. Raises a YAMLError for a name that is there twice, or that is none."""
        seen: set[object] = set()
        for key, _ in node.value:
            name = key.value if isinstance(key, yaml.ScalarNode) else None
            if name is None:
                raise yaml.MarkedYAMLError(
                    problem='a name must be a text; write "{{ ... }}" in quotes', problem_mark=key.start_mark
                )
            if name in seen:
                raise yaml.MarkedYAMLError(problem=f"{name!r} is there twice", problem_mark=key.start_mark)
            seen.add(name)
        return super().construct_mapping(node, deep=deep)
