"""The entries that an installation puts into a client's settings file, with one class for each file
format.

All classes have the same methods, which take the text of a file. `is_in` says whether the text has
exactly the wanted entries, and `owns` whether it has any entries that a version of this program
wrote. `insert` adds the wanted entries to a text without such entries, and `remove` takes out all
entries of this program.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from api.cli.install.text import EditedText, JsonText, MalformedSettings

Members: TypeAlias = tuple[tuple[tuple[str, ...], Any], ...]
"""Pairs of a path in a JSON object (keys, outermost first) and the value at this path."""

TomlValue: TypeAlias = str | int | list[str]

Steps: TypeAlias = tuple[str | int, ...]
"""A path in a JSON document: keys of objects and indices of arrays."""


@dataclass(frozen=True, slots=True)
class Prior:
    """The values of a settings file that an installation replaced, which an uninstallation
    restores.

    members: paths of the members that the installation set. created: paths of the objects and
    arrays that it created. values: path and earlier value of each member that it replaced.
    """

    members: tuple[tuple[str, ...], ...] = ()
    created: tuple[tuple[str, ...], ...] = ()
    values: Members = ()


@dataclass(frozen=True, slots=True)
class JsonEntries:
    """Entries of this program for a JSON settings file: members to set, and elements to append to
    arrays.

    members: (path, value) of each member. elements: (path of the array, value) of each element.
    marks: maps the top-level member that has the arrays, such as "hooks", to a text that only this
    program's elements contain. owned: paths of members that belong to this program, whoever wrote
    their values.
    """

    members: Members = ()
    elements: Members = ()
    marks: Mapping[str, str] = field(default_factory=dict)
    owned: tuple[tuple[str, ...], ...] = ()

    def is_in(self, text: str) -> bool:
        """Whether `text` has all these entries, and no outdated array elements of this program."""
        document = JsonText(text)
        elements = [(path[:-1], document.get(path)) for path in self._own_elements(document)]
        same = sorted(elements, key=repr) == sorted(self.elements, key=repr)
        return same and all(document.get(path) == value for path, value in self.members)

    def prior(self, text: str) -> Prior:
        """Values that `insert` will replace and create in `text`, without elements of this
        program.
        """
        document = JsonText(text)
        parents = {path[:depth] for path, _ in self.members for depth in range(1, len(path))}
        parents |= {path[:depth] for path, _ in self.elements for depth in range(1, len(path) + 1)}
        created = tuple(sorted(path for path in parents if document.get(path) is None))
        paths = tuple(path for path, _ in self.members)
        values = tuple((path, value) for path in paths if (value := document.get(path)) is not None)
        return Prior(paths, created, values)

    def insert(self, text: str) -> EditedText:
        """`text` with these entries added. Raises MalformedSettings if a parent of an entry is no
        object or array.
        """
        document = JsonText(text)
        for path, value in self.members:
            document.set(path, value)
        for path, value in self.elements:
            document.append(path, value)
        return document

    def owns(self, text: str) -> bool:
        """Whether `text` has entries that any version of this program wrote."""
        document = JsonText(text)
        return any(document.get(path) is not None for path in self.owned) or any(
            self._own_elements(document)
        )

    def remove(self, text: str, prior: Prior | None) -> str:
        """`text` without this program's entries, and with the values that they replaced (`prior`;
        None: unknown).
        """
        document = JsonText(text)
        parents: list[Steps] = []
        for path in self.owned if prior is None else prior.members:
            if document.get(path) is not None:
                document.remove(path)
                parents.append(path[:-1])
        while (element := next(self._own_elements(document), None)) is not None:
            document.remove(element)
            parents.append(element[:-1])
        for path, value in () if prior is None else prior.values:
            document.set(path, value)
        for parent in parents:
            for ancestor in (parent[:depth] for depth in range(len(parent), 0, -1)):
                created = prior is None or ancestor in prior.created
                if not created or document.get(ancestor) not in ({}, []):
                    break
                document.remove(ancestor)
        return document.text

    def _own_elements(self, document: JsonText) -> Iterator[Steps]:
        """Yield the paths of the elements of this program: of its hook only, if others' hooks are
        in the same group.
        """
        for name, mark in self.marks.items():
            section = document.get((name,))
            arrays: dict[Steps, Any] = {(name,): section}
            if isinstance(section, dict):
                arrays = {(name, key): array for key, array in section.items()}
            elements: list[tuple[Steps, Any]] = [
                ((*path, index), element)
                for path, array in arrays.items()
                for index, element in enumerate(array if isinstance(array, list) else ())
            ]
            for path, element in elements:
                if mark not in json.dumps(element):
                    continue
                handlers = element.get("hooks", []) if isinstance(element, dict) else []
                marked = (
                    [mark in json.dumps(handler) for handler in handlers]
                    if isinstance(handlers, list)
                    else [False]
                )
                if all(marked):
                    yield path
                elif any(marked):
                    yield (*path, "hooks", marked.index(True))


@dataclass(frozen=True, slots=True)
class TomlTable:
    """A table to put into a TOML file. path: the two parts of its name. values: its keys with their
    values.
    """

    path: tuple[str, str]
    values: Mapping[str, TomlValue]

    def is_in(self, text: str) -> bool:
        """Whether `text` has the table with exactly these values."""
        return bool(self._table(_toml(text)) == self.values)

    def prior(self, text: str) -> Prior:
        """The table of the same name in `text`, which `insert` will replace; an empty `values` if
        there is none.
        """
        table = self._table(_toml(text))
        return Prior((self.path,), (), () if table is None else ((self.path, table),))

    def insert(self, text: str) -> EditedText:
        """`text` with the table at its end instead of an existing one. Raises MalformedSettings if
        it is inline.
        """
        document = EditedText(text)
        self._cut(document)
        newline = "\r\n" if "\r\n" in text else "\n"
        separator = (
            "" if not document.text else newline if document.text.endswith("\n") else newline * 2
        )
        lines = [
            f"[{'.'.join(self.path)}]",
            *(f"{name} = {_toml_value(value)}" for name, value in self.values.items()),
        ]
        end = len(document.text)
        document.replace(end, end, separator + newline.join(lines) + newline)
        self._check(text, document.text, dict(self.values))
        return document

    def owns(self, text: str) -> bool:
        """Whether `text` has a table of this name, with any values."""
        return self._table(_toml(text)) is not None

    def remove(self, text: str, prior: Prior | None) -> str:
        """`text` without the table, or with the earlier one of `prior`. Raises MalformedSettings if
        it is inline.
        """
        if self._table(_toml(text)) is None or (prior is not None and not prior.members):
            return text
        document = EditedText(text)
        self._cut(document)
        earlier_table = prior.values[0][1] if prior is not None and prior.values else None
        if earlier_table is not None:
            document = TomlTable(self.path, earlier_table).insert(document.text)
        self._check(text, document.text, earlier_table)
        return document.text

    def _table(self, members: Mapping[str, Any]) -> Any:
        parent = members.get(self.path[0])
        return parent.get(self.path[1]) if isinstance(parent, dict) else None

    def _cut(self, document: EditedText) -> None:
        """Remove the table and its subtables, each from the line of its header to the line before
        the next header.
        """
        name = r"\s*\.\s*".join(f"[\"']?{re.escape(part)}[\"']?" for part in self.path)
        header = re.compile(rf"\s*\[\s*{name}\s*(?:\.[^\]]*)?\]")
        lines = document.text.splitlines(keepends=True)
        while (
            first := next((at for at, line in enumerate(lines) if header.match(line)), None)
        ) is not None:
            last = next(
                (at for at in range(first + 1, len(lines)) if lines[at].lstrip().startswith("[")),
                len(lines),
            )
            while not lines[last - 1].strip() or lines[last - 1].lstrip().startswith("#"):
                last -= 1  # blank lines and comments above the next table belong to it
            if first and not lines[first - 1].strip():
                first -= 1  # the blank line above the header
            start = sum(map(len, lines[:first]))
            document.replace(start, start + sum(map(len, lines[first:last])), "")
            del lines[first:last]

    def _check(self, before: str, after: str, table: Any) -> None:
        """Raise MalformedSettings unless the edit changed only this table, to the content `table`
        (None: removed).
        """
        try:
            same = (
                self._without_table(_toml(before)) == self._without_table(_toml(after))
                and self._table(_toml(after)) == table
            )
        except MalformedSettings:
            same = False
        if not same:
            name = ".".join(self.path)
            raise MalformedSettings(
                f"{name} can't be edited where it is; write it as a table [{name}], or "
                "remove it by hand"
            )

    def _without_table(self, members: Mapping[str, Any]) -> dict[str, Any]:
        """The file's content `members` without this table, and without its parent table if no other
        table is in it.
        """
        parent_name, name = self.path
        parent = members.get(parent_name, {})
        siblings = (
            {key: parent[key] for key in parent if key != name}
            if isinstance(parent, dict)
            else parent
        )
        other_members = {key: value for key, value in members.items() if key != parent_name}
        return other_members | ({parent_name: siblings} if siblings else {})


def _toml(text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise MalformedSettings(f"it is not valid TOML: {error}") from error
    except RecursionError as error:
        raise MalformedSettings("its TOML is nested too deeply") from error
    except ValueError as error:
        raise MalformedSettings("it has an integer of more digits than can be read") from error


def _toml_value(value: TomlValue) -> str:
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


@dataclass(frozen=True, slots=True)
class WholeFile:
    """A settings file that this program writes as a whole, such as a rule for Cursor."""

    content: str

    def is_in(self, text: str) -> bool:
        """Whether `text` is exactly the wanted content."""
        return text == self.content

    def prior(self, _: str) -> Prior:
        """An empty `Prior`, because no single values are replaced: the installation's record has
        the whole old text.
        """
        return Prior()

    def insert(self, text: str) -> EditedText:
        """The file's new text, always `content`. The old `text` is discarded, as only this program
        writes the file.
        """
        document = EditedText(text)
        document.replace(0, len(text), self.content)
        return document

    def owns(self, _: str) -> bool:
        """Always true, because no other program writes the file."""
        return True

    def remove(self, _: str, __: Prior | None) -> str:
        """An empty text, which means that the file is removed."""
        return ""


Entries: TypeAlias = JsonEntries | TomlTable | WholeFile
