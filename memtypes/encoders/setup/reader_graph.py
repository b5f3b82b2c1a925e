"""Builds the ONNX graph of the reader: a BERT model of two texts, and its heads. Needs `onnx`,
installed for set-up only.

The base is read back to floats from a quantised file, what was learnt for it is merged in, and the
result is quantised again.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from memtypes.encoders.reader import ACTS_OUTPUT, ANSWERS_OUTPUT
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
_LAYER_NODE = "/bert/"
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
            if node.name.startswith(_LAYER_NODE) and node.name.endswith(_LAYER_NODE_END):
                # Matrices of layers have lost their names, but their nodes have kept them.
                layer = node.name.removeprefix(_LAYER_NODE).removesuffix(_LAYER_NODE_END)
                weights[f"{layer.replace('/', '.')}.weight"] = np.ascontiguousarray(matrix.T)
            elif node.op_type == "MatMulInteger":
                weights[source.removeprefix(_PREFIX)] = np.ascontiguousarray(matrix.T)
            else:
                weights[source.removeprefix(_PREFIX)] = matrix
    return weights


def merged(weights: Weights, learnt: Weights) -> dict[str, NDArray[Any]]:
    """The base's weights with what was learnt for them.

    learnt: low-rank changes "NAME.A", of shape (rank, inputs), and "NAME.B", of shape (outputs,
    rank), of which "NAME.weight" becomes weight + scale * B A; "scale"; and tensors that replace
    those of the same name. Raises ValueError for a change of a matrix that the base lacks.
    """
    changed = dict(weights)
    for name, array in learnt.items():
        if name in weights:
            changed[name] = array.astype(np.float32)
        if not name.endswith(".A"):
            continue
        matrix = f"{name.removesuffix('.A')}.weight"
        if matrix not in weights:
            raise ValueError(f"{matrix} is no matrix of the base")
        down = array.astype(np.float32)
        up = learnt[f"{name.removesuffix('.A')}.B"].astype(np.float32)
        changed[matrix] = weights[matrix] + np.float32(learnt["scale"]) * (up @ down)
    return changed


def build_graph(weights: Weights, heads: Mapping[str, NDArray[Any]], *, int8: bool) -> Any:
    """Build the ONNX model of the reader. int8: whether to quantise it.

    weights: of the BERT model, with a pooler. heads: "answers.weight" of shape (1, dimensions) and
    "answers.bias"; and where the reader judges acts, "acts.weight" and "acts.bias". Its inputs are
    input_ids and token_type_ids, int64 of shape (pairs, tokens), without padding. Its outputs are
    float32 logits, of shape (pairs, 1) and (pairs, acts).
    """
    writer = GraphWriter(weights, int8)
    states = bert_states(writer, bias=None, pairs=True)
    # One vector for a pair: its three products cost nothing, so they stay floats.
    beginning = writer.node("Gather", [states, writer.indices(0)], "beginning", axis=1)
    beginning = writer.node("Squeeze", [beginning, writer.indices(1)], "beginning_vector")
    pooled = writer.node("Tanh", [_product(writer, beginning, weights, "pooler.dense")], "pooled")
    outputs = {}
    for name in (ANSWERS_OUTPUT, ACTS_OUTPUT):
        if f"{name}.weight" in heads:
            writer.node("Identity", [_product(writer, pooled, heads, name)], name)
            outputs[name] = ["texts", len(heads[f"{name}.weight"])]
    return model_of(writer, "reader", [INPUT_IDS, TYPE_IDS], outputs)


def _product(writer: GraphWriter, source: str, weights: Weights, key: str) -> str:
    matrix = writer.constant(f"{key}_w", weights[f"{key}.weight"].T.astype(np.float32))
    bias = writer.constant(f"{key}_b", weights[f"{key}.bias"].astype(np.float32))
    product = writer.node("MatMul", [source, matrix], f"{key}_product")
    return writer.node("Add", [product, bias], f"{key}_sum")
