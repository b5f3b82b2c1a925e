"""Changes settings files of AI clients. Changes are planned first, written atomically, and can be
undone exactly.

For each change, a record in a folder of this program says how to undo it. If another program has
changed the settings file meanwhile, undoing only takes this program's entries out of the file.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from api.cli.install.entries import Entries, Prior
from api.cli.install.text import JsonText, MalformedSettings, Splice, revert
from memtypes.stores.files import PRIVATE, replace_file


@dataclass(frozen=True, slots=True)
class SettingsFile:
    """A client's settings file and the entries to put into it. private: let only its owner read it,
    for its key.
    """

    path: Path
    entries: Entries
    private: bool = False


class InstallRecord(BaseModel):
    """A record of the changes that an installation made in one settings file, by which they are
    undone.

    sha256: hash of the text that the installation wrote. existed: whether the file existed before.
    mode: permission bits of the file before; None if it did not exist. folders: folders created for
    the file. splices: the changes made to the text. prior: the values that the installation's
    entries replaced, and the objects that it created for them.
    """

    model_config = ConfigDict(frozen=True)

    path: str
    sha256: str
    existed: bool
    mode: int | None
    folders: tuple[str, ...]
    splices: tuple[Splice, ...]
    prior: Prior


@dataclass(frozen=True, slots=True)
class FileChange:
    """A planned change of a settings file. before, after: its text before and after the change;
    None for no file.

    mode: permission bits to set; None for the default. record: how to undo the change; None for an
    uninstallation.
    """

    path: Path
    before: str | None
    after: str | None
    mode: int | None
    record: InstallRecord | None

    @property
    def kind(self) -> str:
        """The effect of the change on the file: "unchanged", "created", "removed" or "changed"."""
        if self.before == self.after:
            return "unchanged"
        return "created" if self.before is None else "removed" if self.after is None else "changed"


class SettingsFiles:
    """Plans and makes changes of settings files. state: folder that has a record of each change, to
    undo it.
    """

    def __init__(self, state: Path) -> None:
        self._state = state

    def plan_install(self, file: SettingsFile) -> FileChange:
        """The change that puts the entries of `file` into it. Raises MalformedSettings if the file
        cannot be edited.
        """
        # Settings are often links into a repository of dotfiles
        path = Path(os.path.realpath(file.path))
        with _naming(file.path):
            before = _read(path)
            mode = _mode(path)
            record = self._record(path)
            base = self._without(file, before, record, Prior())
            edited = file.entries.insert(base or "")
            if not file.entries.is_in(edited.text):
                raise MalformedSettings("an entry can't be added to it")
            prior = file.entries.prior(base or "")
            if (
                record is not None
                and prior.members == record.prior.members
                and file.entries.is_in(before or "")
            ):
                return FileChange(path, before, before, mode, record)
        if record is not None:
            mode = record.mode
            folders = record.folders
        else:
            folders = tuple(str(folder) for folder in reversed(path.parents) if not folder.exists())
        new_record = InstallRecord(
            path=str(path),
            sha256=_hash(edited.text),
            existed=base is not None,
            mode=mode,
            folders=folders,
            splices=tuple(edited.splices),
            prior=prior,
        )
        return FileChange(path, before, edited.text, PRIVATE if file.private else mode, new_record)

    def plan_uninstall(self, file: SettingsFile) -> FileChange:
        """The change that takes this program's entries out of a file. Raises MalformedSettings if
        it is malformed.
        """
        path = Path(os.path.realpath(file.path))
        with _naming(file.path):
            before = _read(path)
            mode = _mode(path)
            record = self._record(path)
            after = self._without(file, before, record, None)
        return FileChange(path, before, after, mode if record is None else record.mode, None)

    def apply(self, change: FileChange) -> None:
        """Make a planned change. Raises MalformedSettings if the file changed since the plan, or
        cannot be written.
        """
        path = change.path
        record_path = self._record_path(change.path)
        with _naming(path):
            if _read(path) != change.before:
                raise MalformedSettings("another program is changing it; run the command again")
            if change.record is not None and change.before != change.after:
                self._state.mkdir(parents=True, exist_ok=True)
                replace_file(record_path, change.record.model_dump_json().encode())
            if change.after is None:
                path.unlink(missing_ok=True)
            elif change.before != change.after:
                path.parent.mkdir(parents=True, exist_ok=True)
                replace_file(path, change.after.encode(), change.mode)
            if change.record is None:
                record = self._record(path)
                record_path.unlink(missing_ok=True)
                folders = reversed(record.folders) if record is not None else ()
                for folder in (*map(Path, folders), self._state, self._state.parent):
                    if folder.is_dir() and not any(folder.iterdir()):
                        folder.rmdir()

    def _without(
        self,
        file: SettingsFile,
        text: str | None,
        record: InstallRecord | None,
        prior: Prior | None,
    ) -> str | None:
        """`text` without this program's entries, as `record` or `prior` says; None if the file is
        to be removed.
        """
        if text is None:
            return None
        if record is not None and record.sha256 == _hash(text):
            return revert(text, record.splices) if record.existed else None
        remaining = file.entries.remove(text, prior if record is None else record.prior)
        created = record is not None and not record.existed
        is_empty = remaining.strip() in {"", "{}"} and (created or not remaining)
        return None if is_empty and remaining != text else remaining

    def _record(self, path: Path) -> InstallRecord | None:
        record_path = self._record_path(path)
        text = _read(record_path)
        try:
            return None if text is None else InstallRecord.model_validate_json(text)
        except ValidationError as error:
            raise MalformedSettings(
                f"its record {record_path} is damaged; remove that, and try again"
            ) from error

    def _record_path(self, path: Path) -> Path:
        return self._state / f"{_hash(str(path))[:32]}.json"


def settings_text(path: Path) -> str | None:
    """The text of a settings file; None if there is no file. Raises MalformedSettings if it cannot
    be read.
    """
    with _naming(path):
        return _read(path)


def settings_value(path: Path, keys: Sequence[str]) -> Any:
    """The value at the path `keys` in a JSON file, or None. Raises MalformedSettings if the file
    cannot be read.
    """
    with _naming(path):
        return JsonText(_read(path) or "").get(keys)


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Context manager that raises errors about the file at `path` as MalformedSettings with the
    path in the message.
    """
    try:
        yield
    except MalformedSettings as error:
        raise MalformedSettings(f"{path}: {error}; it was left as it is") from error
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise MalformedSettings(f"{path}: {reason}; it was left as it is") from error


def _read(path: Path) -> str | None:
    return path.read_bytes().decode() if path.exists() else None


def _mode(path: Path) -> int | None:
    return stat.S_IMODE(path.stat().st_mode) if path.exists() else None


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()
