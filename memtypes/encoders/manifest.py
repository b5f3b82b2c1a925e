"""What a prepared encoder's folder holds, and whether it is whole.

Knows files and hashes. Does not know models. The manifest is written last, so a folder without one was never finished.
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
    """A prepared encoder: what its vectors are, and the SHA-256 of each of its files."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    fingerprint: str
    dimensions: int
    max_tokens: int
    files: dict[str, str]


def sha256_of(path: Path) -> str:
    """SHA-256 of the file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def way_out(directory: Path) -> str:
    """The command that prepares an encoder in `directory`."""
    return f"run: python -m memtypes.encoders.setup.prepare --dir {directory}"


def read_manifest(directory: Path) -> Manifest:
    """The manifest of `directory`, every file checked. Raises SetupRequired when one is missing or damaged."""
    path = directory / MANIFEST_FILE
    try:
        manifest = Manifest.model_validate_json(path.read_bytes())
        found = {name: sha256_of(directory / name) for name in manifest.files}
    except FileNotFoundError as error:
        missing = Path(error.filename).name
        raise SetupRequired(
            f"no prepared encoder in {directory} ({missing} is missing); {way_out(directory)}"
        ) from error
    except (OSError, ValidationError) as error:
        raise SetupRequired(f"the encoder in {directory} can't be read; {way_out(directory)}") from error
    damaged = sorted(name for name, digest in manifest.files.items() if found[name] != digest)
    if damaged:
        raise SetupRequired(f"damaged in {directory}: {', '.join(damaged)}; {way_out(directory)}")
    return manifest
