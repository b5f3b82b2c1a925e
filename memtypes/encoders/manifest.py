"""The directory of a prepared encoder: its files, their hashes, and whether they are complete.

The manifest is written last, so a directory without one is unfinished.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from memtypes.model.errors import SetupRequired

MODEL_FILE = "model.onnx"
TOKENIZER_FILE = "tokenizer.json"
MANIFEST_FILE = "manifest.json"


class Manifest(BaseModel):
    """A prepared encoder. fingerprint: names its vectors; files: SHA-256 by file name."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    fingerprint: str
    dimensions: int
    max_tokens: int
    files: dict[str, str]


def sha256_of(path: Path) -> str:
    """SHA-256 of a file in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def prepare_command(directory: Path) -> str:
    """Advice to run the command that prepares an encoder in `directory`."""
    return f"run: python -m memtypes.encoders.setup.prepare --dir {directory}"


def read_manifest(directory: Path) -> Manifest:
    """Check every file in `directory` and return its manifest. Raises SetupRequired if one is missing or damaged."""
    path = directory / MANIFEST_FILE
    try:
        manifest = Manifest.model_validate_json(path.read_bytes())
        hashes = {name: sha256_of(directory / name) for name in manifest.files}
    except FileNotFoundError as error:
        missing = Path(error.filename).name
        raise SetupRequired(
            f"no prepared encoder in {directory} ({missing} is missing); {prepare_command(directory)}"
        ) from error
    except (OSError, ValidationError) as error:
        raise SetupRequired(f"the encoder in {directory} can't be read; {prepare_command(directory)}") from error
    damaged = sorted(name for name, digest in manifest.files.items() if hashes[name] != digest)
    if damaged:
        raise SetupRequired(f"damaged in {directory}: {', '.join(damaged)}; {prepare_command(directory)}")
    return manifest
