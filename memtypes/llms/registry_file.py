"""The registry from YAML, read again when the file changes. Knows files; what the entries mean is the registry's."""

from __future__ import annotations

import logging
from importlib import resources
from pathlib import Path

from memtypes.config.yaml_file import Source
from memtypes.llms.registry import Registry, RegistryFile
from memtypes.model.errors import RemembrancerError

_DEFAULT = "default.yaml"
_log = logging.getLogger(__name__)


class BadRegistry(RemembrancerError):
    """A registry file can't be used; the text names file, key, value and what is allowed."""


def parse(text: str, file: str) -> RegistryFile:
    """The registry file of `text`; `file` names it in errors. Raises BadRegistry."""
    return _source(file).parsed(text, RegistryFile)


def _source(file: str) -> Source:
    return Source(f"models file {file}", BadRegistry)


def default_file() -> RegistryFile:
    """The registry that comes with the package."""
    return parse(resources.files(__package__).joinpath(_DEFAULT).read_text(encoding="utf-8"), _DEFAULT)


class RegistrySource:
    """The default registry, and over it the one of a file that may change while the service runs."""

    def __init__(self, path: Path | None = None) -> None:
        """Raises BadRegistry when the file can't be used now; later such a change is logged and not followed."""
        self._default = default_file()
        self._path = path
        self._seen = self._stamp()
        self._registry = self._read()

    def __call__(self) -> Registry:
        """The registry as the file is now; the last good one while the file is missing or broken."""
        stamp = self._stamp()
        if stamp != self._seen:
            self._seen = stamp
            try:
                self._registry = self._read()
            except BadRegistry as error:
                _log.error("%s; the models that were read before stay", error)
            else:
                _log.info("models file %s: read again", self._path)
        return self._registry

    def _stamp(self) -> tuple[int, int, int] | None:
        """What changes when the file does; None when there is none."""
        if self._path is None:
            return None
        try:
            stat = self._path.stat()
        except OSError:
            return None
        return stat.st_mtime_ns, stat.st_size, stat.st_ino

    def _read(self) -> Registry:
        if self._path is None:
            return Registry.of(self._default)
        file = str(self._path)
        return Registry.of(self._default, parse(_source(file).text(self._path), file))
