"""Prepared models: a folder with a model, its tokenizer and a manifest with their hashes, which a
set-up command wrote.

The manifest is written last, so a folder without one is incomplete.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from onnxruntime.capi import onnxruntime_pybind11_state as ort_errors
from pydantic import BaseModel, ConfigDict, ValidationError

from memtypes.model.errors import SetupRequired

MODEL_FILE = "model.onnx"
TOKENIZER_FILE = "tokenizer.json"
MANIFEST_FILE = "manifest.json"

ORT_ERRORS = tuple(
    error
    for error in vars(ort_errors).values()
    if isinstance(error, type) and issubclass(error, Exception)
)
"""The error classes of onnxruntime, which have no common base class."""


class Manifest(BaseModel):
    """Contents of the manifest file of a prepared model.

    fingerprint: text that identifies the model. max_tokens: of a text, special tokens included.
    files: SHA-256 of each other file, by name.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    fingerprint: str
    max_tokens: int
    files: dict[str, str]


ManifestT = TypeVar("ManifestT", bound=Manifest)


@dataclass(frozen=True, slots=True)
class PreparedModel(Generic[ManifestT]):
    """Reads and writes the folders of one kind of prepared model.

    name: what error messages call it. manifest: class of its manifest. module: the module whose
    command prepares it.
    """

    name: str
    manifest: type[ManifestT]
    module: str

    def command(self, directory: Path) -> str:
        """The end of an error message, which names the command that prepares `directory`."""
        return f"run: python -m {self.module} --dir {directory}"

    def read(self, directory: Path) -> ManifestT:
        """Check the files in `directory` and return their manifest. Raises SetupRequired if a file
        is missing or damaged.
        """
        path = directory / MANIFEST_FILE
        try:
            manifest = self.manifest.model_validate_json(path.read_bytes())
            hashes = {name: sha256_of(directory / name) for name in manifest.files}
        except FileNotFoundError as error:
            missing = Path(error.filename).name
            raise SetupRequired(
                f"no prepared {self.name} in {directory} ({missing} is missing); "
                f"{self.command(directory)}"
            ) from error
        except (OSError, ValidationError) as error:
            raise SetupRequired(
                f"the {self.name} in {directory} can't be read; {self.command(directory)}"
            ) from error
        damaged = sorted(name for name, digest in manifest.files.items() if hashes[name] != digest)
        if damaged:
            raise SetupRequired(
                f"damaged in {directory}: {', '.join(damaged)}; {self.command(directory)}"
            )
        return manifest

    def read_current(self, directory: Path, fingerprint: str) -> ManifestT | None:
        """The manifest in `directory`; None if its model is missing, damaged or another one."""
        try:
            manifest = self.read(directory)
        except SetupRequired:
            return None
        return manifest if manifest.fingerprint == fingerprint else None

    def write(self, directory: Path, files: Mapping[str, bytes], manifest: ManifestT) -> ManifestT:
        """Write `files` and their `manifest`, whose hashes are filled in here, to `directory`.

        Files are written to a temporary folder and then renamed. Raises SetupRequired if
        `directory` can't be written.
        """
        hashes = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
        complete = manifest.model_copy(update={"files": hashes})
        manifest_text = complete.model_dump_json(indent=2) + "\n"
        contents = {**files, MANIFEST_FILE: manifest_text.encode()}
        try:
            directory.mkdir(parents=True, exist_ok=True)
            (directory / MANIFEST_FILE).unlink(missing_ok=True)
            with tempfile.TemporaryDirectory(dir=directory, prefix=".preparing-") as folder:
                for name, content in contents.items():
                    staged = Path(folder) / name
                    staged.write_bytes(content)
                    with staged.open("rb") as file:
                        os.fsync(file.fileno())  # so that the final name has a complete file
                    staged.replace(directory / name)
        except OSError as error:
            raise SetupRequired(
                f"the {self.name} can't be prepared in {directory}: {error.strerror or error}; "
                "make room there, or choose another place"
            ) from error
        return self.read(directory)


def sha256_of(path: Path) -> str:
    """SHA-256 of the file at `path`, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
