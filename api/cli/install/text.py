"""Edits JSON settings files as text, so that comments and layout stay. A copy without comments
gives the positions.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, TypeAlias

from memtypes.model.errors import RemembrancerError
from memtypes.model.strict_json import MalformedJson, skip_blank, unique_keys

Path: TypeAlias = Sequence[str | int]

_COMMENT = re.compile(r'"(?:[^"\\\n]|\\.)*"|//[^\r\n]*|/\*.*?\*/', re.DOTALL)
_TRAILING_COMMA = re.compile(r'"(?:[^"\\\n]|\\.)*"|,(?=\s*[}\]])', re.DOTALL)
_REST_OF_LINE = re.compile(r"[ \t]*,?[ \t]*(?://[^\r\n]*|/\*[^\r\n]*?\*/)?")
_BYTE_ORDER_MARK = "\ufeff"


class MalformedSettings(RemembrancerError):
    """A settings file cannot be read or edited. The file was not changed."""


class JsonChild(NamedTuple):
    """Where a member or element is in a JSON text: where it begins, where its value begins, and
    where it ends.
    """

    key: str | int
    start: int
    value: int
    end: int


def parse_json(text: str) -> dict[str, Any]:
    """Parse a JSON object, which may have comments; {} for a blank text. Raises MalformedSettings
    for other texts.
    """
    plain = _blanked(text)
    if not plain.strip():
        return {}
    try:
        value = json.loads(plain, object_pairs_hook=unique_keys)
    except json.JSONDecodeError as error:
        raise MalformedSettings(
            f"it is not valid JSON: {error.msg}, line {error.lineno}"
        ) from error
    except MalformedJson as error:
        raise MalformedSettings(str(error)) from error
    except RecursionError as error:
        raise MalformedSettings("its JSON is nested too deeply") from error
    except ValueError as error:
        raise MalformedSettings("it has an integer of more digits than can be read") from error
    if not isinstance(value, dict):
        raise MalformedSettings("it must hold a JSON object")
    return value


def _blanked(text: str) -> str:
    """`text` with blanks instead of comments and trailing commas, so that it is strict JSON of the
    same length.
    """

    def blanks(match: re.Match[str]) -> str:
        return match[0] if match[0].startswith('"') else re.sub(r"[^\n]", " ", match[0])

    plain = _TRAILING_COMMA.sub(blanks, _COMMENT.sub(blanks, text))
    return " " + plain[1:] if plain.startswith(_BYTE_ORDER_MARK) else plain


Splice: TypeAlias = tuple[int, str, int]
"""A change of a text, as needed to undo it: (position, removed text, length of the inserted
text).
"""


class EditedText:
    """A text that is edited. splices: the changes made to it so far, in order."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.splices: list[Splice] = []

    def replace(self, start: int, end: int, text: str) -> None:
        """Replace the characters from `start` to before `end` with `text`, and record the
        change.
        """
        self.splices.append((start, self.text[start:end], len(text)))
        self.text = self.text[:start] + text + self.text[end:]


def revert(text: str, splices: Sequence[Splice]) -> str:
    """`text` as it was before the changes `splices`."""
    for start, removed, length in reversed(splices):
        text = text[:start] + removed + text[start + length :]
    return text


class JsonText(EditedText):
    """A JSON object as text, perhaps with comments. A path is a sequence of keys and indices into
    it.
    """

    def __init__(self, text: str) -> None:
        parse_json(text)
        super().__init__(text)
        self._plain = _blanked(text)

    def replace(self, start: int, end: int, text: str) -> None:
        """Replace the characters from `start` to before `end` with `text`, and record the
        change.
        """
        super().replace(start, end, text)
        self._plain = _blanked(self.text)

    def get(self, path: Path) -> Any:
        """The value at `path`; None if there is none."""
        value: Any = parse_json(self.text)
        try:
            for key in path:
                value = value[key]
        except (LookupError, TypeError):
            return None
        return value

    def set(self, path: Sequence[str], value: Any) -> None:
        """Set the member at `path`, creating missing parents. Raises MalformedSettings if a parent
        is no object.
        """
        if not self._plain.strip():
            self.replace(
                len(self.text), len(self.text), json.dumps(_nested(path, value), indent=2) + "\n"
            )
            return
        position = skip_blank(self._plain, 0)
        for depth, key in enumerate(path):
            if self._plain[position] != "{":
                raise MalformedSettings(f"{'.'.join(path[:depth])} must be an object")
            child = next((child for child in self._children(position) if child.key == key), None)
            if child is None:
                self._add(
                    position, depth, f"{json.dumps(key)}: ", _nested(path[depth + 1 :], value)
                )
                return
            position = child.value
        self.replace(position, self._end(position), self._dumped(value, len(path)))

    def append(self, path: Sequence[str], value: Any) -> None:
        """Add `value` to the array at `path`, or create it. Raises MalformedSettings for a value of
        another type.
        """
        array = self.get(path)
        if array is None:
            self.set(path, [value])
        elif isinstance(array, list):
            self._add(self._at(path), len(path), "", value)
        else:
            raise MalformedSettings(f"{'.'.join(path)} must be an array")

    def remove(self, path: Path) -> None:
        """Remove the member or element at `path`, which must exist, and its comma. Comments around
        it stay.
        """
        container = self._at(path[:-1])
        children = list(self._children(container))
        index = next(index for index, child in enumerate(children) if child.key == path[-1])
        child = children[index]
        start = len(self.text[: child.start].rstrip())
        after = skip_blank(self.text, child.end)
        end = after + 1 if self.text[after] == "," else child.end
        if len(children) == 1:
            closing = self._end(container) - 1
            bare = not (self.text[container + 1 : start] + self.text[end:closing]).strip()
            self.replace(container + 1 if bare else start, closing if bare else end, "")
        # Without a comma of its own: that before it goes
        elif index == len(children) - 1 and end == child.end:
            comma = self._plain.index(",", children[index - 1].end)
            self.replace(start, end, "")
            self.replace(comma, comma + 1, "")
        else:
            self.replace(start, end, "")

    def _at(self, path: Path) -> int:
        position = skip_blank(self._plain, 0)
        for key in path:
            position = next(child.value for child in self._children(position) if child.key == key)
        return position

    def _end(self, position: int) -> int:
        return json.JSONDecoder().raw_decode(self._plain, position)[1]

    def _children(self, position: int) -> Iterator[JsonChild]:
        plain = self._plain
        keyed = self._plain[position] == "{"
        at = skip_blank(plain, position + 1)
        number = 0
        while plain[at] not in "}]":
            start = at
            key = number
            if keyed:
                key, at = json.JSONDecoder().raw_decode(plain, at)
                at = skip_blank(plain, skip_blank(plain, at) + 1)  # behind the colon
            end = self._end(at)
            yield JsonChild(key, start, at, end)
            at = skip_blank(plain, end)
            number = number + 1
            if plain[at] == ",":
                at = skip_blank(plain, at + 1)

    def _add(self, position: int, depth: int, prefix: str, value: Any) -> None:
        """Add a child at the end of the object or array at `position` in nesting `depth`. prefix: a
        member's key.
        """
        children = list(self._children(position))
        if not children:
            unit, newline = self._layout()
            text = prefix + self._dumped(value, depth + 1)
            inner = f"{newline}{unit * (depth + 1)}{text}{newline}{unit * depth}" if unit else text
            closing = self._end(position) - 1
            bare = not self.text[position + 1 : closing].strip()
            self.replace(position + 1 if bare else closing, closing, inner)
            return
        last = children[-1]
        lead = self.text[len(self.text[: last.start].rstrip()) : last.start]
        gap = lead[lead.rstrip(" \t").rfind("\n") :] if "\n" in lead else lead or " "
        gap = "\r" + gap if "\r\n" in lead else gap
        text = prefix + (self._dumped(value, depth + 1) if "\n" in gap else json.dumps(value))
        line_end = _REST_OF_LINE.match(self.text, last.end) if "\n" in gap else None
        trailing = "" if line_end is None else line_end[0]
        comma = "" if trailing.lstrip().startswith(",") else ","
        self.replace(last.end, last.end + len(trailing), f"{comma}{trailing}{gap}{text}")

    def _layout(self) -> tuple[str, str]:
        """(indentation of one level, line break) of the JSON text. The indentation is "" for a text
        on one line.
        """
        newline = "\r\n" if "\r\n" in self.text else "\n"
        indent = re.search(r"\n([ \t]+)[^\s]", self._plain)
        if indent is not None:
            return indent[1], newline
        inner = self._plain.strip()
        return ("  " if "\n" in inner or not inner[1:-1].strip() else ""), newline

    def _dumped(self, value: Any, depth: int) -> str:
        unit, newline = self._layout()
        return json.dumps(value, indent=unit or None).replace("\n", newline + unit * depth)


def _nested(path: Sequence[str], value: Any) -> Any:
    for key in reversed(path):
        value = {key: value}
    return value
