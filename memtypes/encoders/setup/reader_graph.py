"""Builds the ONNX graphs of the reader: BERT models of two texts, each with its head. Needs `onnx`,
installed for set-up only.

A base is read back to floats from a quantised file, what was learnt for it is merged in, and the
result is quantised again.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from memtypes.encoders.reader import (
    ANSWERS_FILE,
    OUTPUTS,
    STATEMENTS_FILE,
)
from memtypes.encoders.setup.bert_graph import (
    INPUT_IDS,
    TYPE_IDS,
    GraphWriter,
    Weights,
    bert_states,
    model_of,
)

_QUANTISED = "_quantized"
_PREFIX = "bert."
_LAYER_NODE = "encoder/"
_LAYER_NODE_END = "/MatMul_quant"


def base_weights(model: Path) -> dict[str, NDArray[np.float32]]:
    """Read the weights of a BERT model that onnxruntime quantised: as floats, by their names in
    transformers, without the prefix "bert.". Matrices have the shape (outputs, inputs).
    """
    graph = onnx.load(model).graph
    tensors = {each.name: numpy_helper.to_array(each) for each in graph.initializer}
    weights: dict[str, NDArray[np.float32]] = {
        name.removeprefix(_PREFIX): array
        for name, array in tensors.items()
        if array.dtype == np.float32 and array.ndim
    }
    for node in graph.node:
        for name in node.input:
            if not name.endswith(_QUANTISED) or name not in tensors:
                continue
            source = name.removesuffix(_QUANTISED)
            zero = tensors[f"{source}_zero_point"].astype(np.float32)
            matrix = (tensors[name].astype(np.float32) - zero) * tensors[f"{source}_scale"]
            place = node.name.removeprefix("/").removeprefix("bert/")
            if place.startswith(_LAYER_NODE) and place.endswith(_LAYER_NODE_END):
                # Matrices of layers have lost their names, but their nodes have kept them.
                layer = place.removesuffix(_LAYER_NODE_END).replace("/", ".")
                weights[f"{layer}.weight"] = np.ascontiguousarray(matrix.T)
            elif node.op_type == "MatMulInteger":
                weights[source.removeprefix(_PREFIX)] = np.ascontiguousarray(matrix.T)
            else:
                weights[source.removeprefix(_PREFIX)] = matrix
    return weights


def merged(weights: Weights, learnt: Weights) -> dict[str, NDArray[Any]]:
    """The base's weights with what was learnt for them.

    learnt: low-rank changes "NAME.A", of shape (rank, inputs), and "NAME.B", of shape (outputs,
    rank), of which "NAME.weight" becomes weight + scale * B A; "scale"; and other tensors, which
    replace those of the same name or are added. Raises ValueError for a change of a matrix that the
    base lacks.
    """
    changed = dict(weights)
    for name, array in learnt.items():
        if name.endswith(".A"):
            layer = name.removesuffix(".A")
            matrix = f"{layer}.weight"
            if matrix not in weights:
                raise ValueError(f"{matrix} is no matrix of the base")
            change = learnt[f"{layer}.B"].astype(np.float32) @ array.astype(np.float32)
            changed[matrix] = weights[matrix] + np.float32(learnt["scale"]) * change
        elif name != "scale" and not name.endswith(".B"):
            changed[name] = array.astype(np.float32)
    return changed


def answers_graph(weights: Weights, *, int8: bool) -> Any:
    """Build the ONNX model that says whether a text answers a question. int8: whether to quantise
    it.

    weights: of the BERT model, with a pooler, and "answers.weight" of shape (1, dimensions) and
    "answers.bias". Its inputs are input_ids and token_type_ids, int64 of shape (pairs, tokens),
    without padding. Its output is a float32 logit, of shape (pairs, 1).
    """
    writer = GraphWriter(weights, int8)
    beginning = _beginning(writer, bert_states(writer, bias=None, pairs=True))
    pooled = writer.node("Tanh", [_product(writer, beginning, "pooler.dense")], "pooled")
    return _model(writer, pooled, ANSWERS_FILE)


def statements_graph(weights: Weights, *, int8: bool) -> Any:
    """Build the ONNX model that says what a new text does to a stored statement, and what a text
    alone states. int8: whether to quantise it.

    weights: of the BERT model, and "acts.weight" of shape (acts, 2 * dimensions), for the first
    token's state and the mean of all, and "acts.bias"; the same for "kinds". Its inputs are those
    of `answers_graph`. Its outputs are float32 logits, of shape (pairs, acts) and (texts, kinds).
    """
    writer = GraphWriter(weights, int8)
    states = bert_states(writer, bias=None, pairs=True)
    mean = writer.node("ReduceMean", [states, writer.indices(1)], "mean", keepdims=0)
    joint = writer.node("Concat", [_beginning(writer, states), mean], "joint", axis=1)
    return _model(writer, joint, STATEMENTS_FILE)


def _beginning(writer: GraphWriter, states: str) -> str:
    """Add the first token's state."""
    beginning = writer.node("Gather", [states, writer.indices(0)], "beginning", axis=1)
    return writer.node("Squeeze", [beginning, writer.indices(1)], "beginning_vector")


def _model(writer: GraphWriter, vector: str, file: str) -> Any:
    """Add the heads of the model in `file` for a pair's vector, and end the model."""
    outputs: dict[str, list[Any]] = {}
    for output in OUTPUTS[file]:
        writer.node("Identity", [_product(writer, vector, output)], output)
        outputs[output] = ["pairs", len(writer.weights[f"{output}.bias"])]
    return model_of(writer, file.removesuffix(".onnx"), [INPUT_IDS, TYPE_IDS], outputs)


def _product(writer: GraphWriter, source: str, key: str) -> str:
    # One vector for a pair: its products cost nothing, so they stay floats.
    matrix = writer.constant(f"{key}_w", writer.weights[f"{key}.weight"].T.astype(np.float32))
    bias = writer.constant(f"{key}_b", writer.weights[f"{key}.bias"].astype(np.float32))
    product = writer.node("MatMul", [source, matrix], f"{key}_product")
    return writer.node("Add", [product, bias], f"{key}_sum")
