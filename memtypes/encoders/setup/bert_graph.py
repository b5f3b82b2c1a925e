"""The graph of a small BERT sentence encoder, written as ONNX straight from its weights.

Knows BERT's layers, mean pooling and int8 weights. Does not know where the weights come from or how the graph is run.
Needs `onnx`, which is installed for set-up only.

The int8 form follows ONNX's dynamic quantisation: weights are int8 with a scale for each output channel, activations
become uint8 at run time with one scale a tensor. That one scale covers everything in a run, so a text's vector would
depend on the texts that share its run: callers run one text at a time.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper

from memtypes.encoders.setup.graph_writer import GraphWriter, Weights, quantised

OPSET = 20  # the first with both LayerNormalization and Gelu
IR_VERSION = 9  # the oldest that carries this opset, so that older runtimes open the file too
MASKED = -10_000.0  # added to the attention scores of padding: e^-10000 is 0 in float32
HEAD_SIZE = 32  # of every MiniLM: 384 / 12
SMOOTHING = 0.9  # measured on 1,215 texts: least cosine to fp32 .982, against .974 without smoothing

INPUT_IDS, MASK = "input_ids", "attention_mask"
SENTENCE, TOKENS = "sentence", "tokens"


def build_graph(weights: Weights, *, int8: bool) -> Any:
    """The encoder as an ONNX model.

    Inputs: input_ids and attention_mask, int64 (texts, tokens). Outputs, all of unit length: sentence, float32
    (texts, dimensions), the mean over the tokens; tokens, float32 (texts, tokens, dimensions), the last layer's states.
    """
    writer = GraphWriter(weights, int8)
    mask = writer.float_(MASK, "mask")
    bias = _attention_bias(writer, mask)
    states = _embeddings(writer)
    normed_by = "embeddings.LayerNorm"
    for layer in range(_layers(weights)):
        key = f"encoder.layer.{layer}"
        attended = _attention(writer, key, states, bias, normed_by)
        states = _feed_forward(writer, key, attended)
        normed_by = f"{key}.output.LayerNorm"
    _pool(writer, states, mask)
    return _model(writer)


def _layers(weights: Weights) -> int:
    return 1 + max(int(key.split(".")[2]) for key in weights if key.startswith("encoder.layer."))


def _width(weights: Weights) -> int:
    return int(weights["embeddings.word_embeddings.weight"].shape[1])


def _embeddings(writer: GraphWriter) -> str:
    """Word and position vectors added; the token type is always the first, so it is folded into the positions."""
    word = writer.weights["embeddings.word_embeddings.weight"]
    kind = writer.weights["embeddings.token_type_embeddings.weight"][0]
    positions = writer.constant("positions", writer.weights["embeddings.position_embeddings.weight"] + kind)
    length = writer.node("Shape", [INPUT_IDS], "length", start=1, end=2)
    zero = writer.indices(0)
    place = writer.node("Slice", [positions, zero, length, zero], "place")
    summed = writer.node("Add", [_words(writer, word), place], "embedded")
    return writer.normalised(summed, "embeddings.LayerNorm", "states")


def _words(writer: GraphWriter, table: NDArray[Any]) -> str:
    if not writer.int8:
        return writer.node("Gather", [writer.constant("word_table", table), INPUT_IDS], "words")
    rows, scales = quantised(table, axis=1)
    small = writer.node("Gather", [writer.constant("word_table", rows), INPUT_IDS], "words_int8")
    scale = writer.node("Gather", [writer.constant("word_scales", scales), INPUT_IDS], "words_scale")
    return writer.node("Mul", [writer.float_(small, "words_float"), scale], "words")


def _attention_bias(writer: GraphWriter, mask: str) -> str:
    padding = writer.node("Sub", [writer.constant("one", np.float32(1)), mask], "padding")  # type: ignore[arg-type]
    low = writer.node("Mul", [padding, writer.constant("masked", np.float32(MASKED))], "low")  # type: ignore[arg-type]
    return writer.node("Unsqueeze", [low, writer.indices(1, 2)], "attention_bias")


def _smoothed(
    writer: GraphWriter, source: str, normed_by: str, matrices: Sequence[NDArray[Any]], name: str
) -> tuple[str, list[NDArray[Any]]]:
    """The source with its few large channels damped, and the matrices that undo it.

    One scale must serve a whole activation, so the outlier channels of a layer normalisation cost all others their
    precision. How large a channel grows is read from the normalisation itself, without any data. After Xiao et al.
    2023, SmoothQuant.
    """
    if not writer.int8:
        return source, list(matrices)
    reach = 3 * np.abs(writer.weights[f"{normed_by}.weight"]) + np.abs(writer.weights[f"{normed_by}.bias"])
    largest = np.max([np.abs(matrix).max(axis=1) for matrix in matrices], axis=0)
    damping = reach**SMOOTHING / np.maximum(largest, 1e-5) ** (1 - SMOOTHING)
    damping /= np.exp(np.log(damping).mean())
    damped = writer.node("Mul", [source, writer.constant(f"{name}_damping", 1 / damping)], name)
    return damped, [matrix * damping[:, None] for matrix in matrices]


def _attention(writer: GraphWriter, key: str, states: str, bias: str, normed_by: str) -> str:
    weights, name = writer.weights, key.replace("encoder.layer.", "layer")
    part = {kind: f"{key}.attention.self.{kind}" for kind in ("query", "key", "value")}
    matrices = [weights[f"{part[kind]}.weight"].T for kind in part]
    matrices[0] = matrices[0] * np.float32(HEAD_SIZE**-0.5)  # the softmax's own scale, folded into the query
    biases = [weights[f"{part[kind]}.bias"] for kind in part]
    biases[0] = biases[0] * np.float32(HEAD_SIZE**-0.5)
    source, matrices = _smoothed(writer, states, normed_by, matrices, f"{name}_attention_in")
    entry = writer.entry(source, f"{name}_attention_entry")
    heads = [
        _heads(writer, writer.linear(entry, matrix, offset, f"{name}_{kind}"), order)
        for kind, matrix, offset, order in zip(
            part, matrices, biases, ((0, 2, 1, 3), (0, 2, 3, 1), (0, 2, 1, 3)), strict=True
        )
    ]
    mixed = _mix(writer, heads, bias, name)
    out = writer.linear(
        writer.entry(mixed, f"{name}_mixed_entry"),
        weights[f"{key}.attention.output.dense.weight"].T,
        weights[f"{key}.attention.output.dense.bias"],
        f"{name}_attention_out",
    )
    residual = writer.node("Add", [states, out], f"{name}_attention_residual")
    return writer.normalised(residual, f"{key}.attention.output.LayerNorm", f"{name}_attended")


def _heads(writer: GraphWriter, source: str, order: tuple[int, ...]) -> str:
    count = _width(writer.weights) // HEAD_SIZE
    split = writer.node("Reshape", [source, writer.indices(0, 0, count, HEAD_SIZE)], f"{source}_split")
    return writer.node("Transpose", [split], f"{source}_heads", perm=list(order))


def _mix(writer: GraphWriter, heads: Sequence[str], bias: str, name: str) -> str:
    query, key, value = heads
    scores = writer.node("Add", [writer.node("MatMul", [query, key], f"{name}_scores"), bias], f"{name}_biased")
    attention = writer.node("Softmax", [scores], f"{name}_softmax", axis=-1)
    context = writer.node("MatMul", [attention, value], f"{name}_context")
    joined = writer.node("Transpose", [context], f"{name}_joined", perm=[0, 2, 1, 3])
    return writer.node("Reshape", [joined, writer.indices(0, 0, _width(writer.weights))], f"{name}_mixed")


def _feed_forward(writer: GraphWriter, key: str, states: str) -> str:
    weights, name = writer.weights, key.replace("encoder.layer.", "layer")
    wide = [weights[f"{key}.intermediate.dense.weight"].T]
    source, wide = _smoothed(writer, states, f"{key}.attention.output.LayerNorm", wide, f"{name}_wide_in")
    entry = writer.entry(source, f"{name}_wide_entry")
    widened = writer.linear(entry, wide[0], weights[f"{key}.intermediate.dense.bias"], f"{name}_wide")
    active = writer.node("Gelu", [widened], f"{name}_active")
    narrowed = writer.linear(
        writer.entry(active, f"{name}_narrow_entry"),
        weights[f"{key}.output.dense.weight"].T,
        weights[f"{key}.output.dense.bias"],
        f"{name}_narrow",
    )
    residual = writer.node("Add", [states, narrowed], f"{name}_residual")
    return writer.normalised(residual, f"{key}.output.LayerNorm", f"{name}_states")


def _pool(writer: GraphWriter, states: str, mask: str) -> None:
    """Both outputs. The sum needs no division by the count: its direction is the mean's."""
    present = writer.node("Mul", [states, writer.node("Unsqueeze", [mask, writer.indices(-1)], "mask_3d")], "present")
    total = writer.node("ReduceSum", [present, writer.indices(1)], "total", keepdims=0)
    writer.node("LpNormalization", [total], SENTENCE, axis=-1, p=2)
    writer.node("LpNormalization", [states], TOKENS, axis=-1, p=2)


def _model(writer: GraphWriter) -> Any:
    width = _width(writer.weights)
    inputs = [helper.make_tensor_value_info(name, TensorProto.INT64, ["texts", "length"]) for name in (INPUT_IDS, MASK)]
    outputs = [
        helper.make_tensor_value_info(SENTENCE, TensorProto.FLOAT, ["texts", width]),
        helper.make_tensor_value_info(TOKENS, TensorProto.FLOAT, ["texts", "length", width]),
    ]
    graph = helper.make_graph(writer.nodes, "sentence_encoder", inputs, outputs, list(writer.constants.values()))
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], producer_name="remembrancer")
    model.ir_version = IR_VERSION
    onnx.checker.check_model(model)
    return model
