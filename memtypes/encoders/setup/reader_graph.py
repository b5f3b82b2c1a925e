"""Builds the ONNX graphs of the reader: BERT models of two texts, with their heads. Needs `onnx`,
installed for set-up only.

A base is read back to floats from a quantised file, what was learnt for it is merged in, and the
result is quantised again.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from memtypes.encoders.reader import LOGITS
from memtypes.encoders.setup.bert_graph import (
    INPUT_IDS,
    TYPE_IDS,
    GraphWriter,
    Weights,
    bert_states,
    model_of,
)

HEAD = "head"
_QUANTISED = "_quantized"
_PREFIX = "bert."
_LAYER_NODE = re.compile(r"/(?:bert/)?(encoder/layer\.\d+/.+)/MatMul_quant")
"""Name of a node that multiplies by a matrix of a layer, with the matrix's name in transformers."""


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
            # Matrices of layers have lost their names, but their nodes have kept them.
            layer = _LAYER_NODE.fullmatch(node.name)
            if layer is not None:
                weights[f"{layer[1].replace('/', '.')}.weight"] = np.ascontiguousarray(matrix.T)
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


def build_answers(weights: Weights, scale: float, offset: float, *, int8: bool) -> Any:
    """Build the ONNX model of a cross-encoder, with a pooler and a classifier of one output. int8:
    whether to quantise it.

    scale, offset: its output is scale * logit + offset. Its inputs are input_ids and
    token_type_ids, int64 of shape (pairs, tokens), without padding. Its output is float32 of shape
    (pairs, 1).
    """
    writer = GraphWriter(weights, int8)
    states = bert_states(writer, bias=None, pairs=True)
    # A pair has one such vector, so its products cost nothing and stay floats.
    beginning = _beginning(writer, states)
    pooled = writer.node("Tanh", [_product(writer, beginning, weights, "pooler.dense")], "pooled")
    head = {
        f"{HEAD}.weight": weights["classifier.weight"] * scale,
        f"{HEAD}.bias": weights["classifier.bias"] * scale + offset,
    }
    writer.node("Identity", [_product(writer, pooled, head, HEAD)], LOGITS)
    return model_of(writer, "answers", [INPUT_IDS, TYPE_IDS], {LOGITS: ["texts", 1]})


def build_acts(weights: Weights, head: Weights, *, int8: bool) -> Any:
    """Build the ONNX model that judges what one statement does to another. int8: whether to
    quantise it.

    head: "head.weight" of shape (acts, 2 * dimensions), for the state of the first token and the
    mean of all states, and "head.bias". Inputs as in `build_answers`; the output is float32 of
    shape (pairs, acts).
    """
    writer = GraphWriter(weights, int8)
    states = bert_states(writer, bias=None, pairs=True)
    mean = writer.node("ReduceMean", [states, writer.indices(1)], "mean", keepdims=0)
    both = writer.node("Concat", [_beginning(writer, states), mean], "both", axis=-1)
    writer.node("Identity", [_product(writer, both, head, HEAD)], LOGITS)
    outputs = {LOGITS: ["texts", len(head[f"{HEAD}.weight"])]}
    return model_of(writer, "acts", [INPUT_IDS, TYPE_IDS], outputs)


def _beginning(writer: GraphWriter, states: str) -> str:
    """Add the state of the first token, the start token."""
    first = writer.node("Gather", [states, writer.indices(0)], "beginning", axis=1)
    return writer.node("Squeeze", [first, writer.indices(1)], "beginning_vector")


def _product(writer: GraphWriter, source: str, weights: Weights, key: str) -> str:
    matrix = writer.constant(f"{key}_w", weights[f"{key}.weight"].T.astype(np.float32))
    bias = writer.constant(f"{key}_b", weights[f"{key}.bias"].astype(np.float32))
    product = writer.node("MatMul", [source, matrix], f"{key}_product")
    return writer.node("Add", [product, bias], f"{key}_sum")
