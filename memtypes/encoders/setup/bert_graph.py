"""Builds the ONNX graph of a small BERT model from its weights. Needs `onnx`, installed for set-up
only.

The int8 graph uses ONNX's dynamic quantisation. Weights are int8, with a scale for each output
channel; activations become uint8 at run time, with one scale for each tensor. In a batch, a text's
vector would therefore depend on the other texts, so callers run one text at a time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

Weights: TypeAlias = Mapping[str, NDArray[Any]]

OPSET = 20  # the first with both LayerNormalization and Gelu
IR_VERSION = 9  # the oldest with this opset, so that older runtimes open the file
HEAD_SIZE = 32  # of every MiniLM: 384 / 12
SMOOTHING = 0.9  # lowest cosine to float32 over 1,215 texts: .982, without smoothing .974
EPSILON = 1e-12  # of every layer normalisation in BERT

INPUT_IDS = "input_ids"
MASK = "attention_mask"
TYPE_IDS = "token_type_ids"


@dataclass(slots=True)
class GraphWriter:
    """Writes an ONNX graph node by node. Each method returns the name of the tensor that it added
    to the graph.
    """

    weights: Weights
    int8: bool
    nodes: list[Any] = field(default_factory=list)
    constants: dict[str, Any] = field(default_factory=dict)

    def constant(self, name: str, array: NDArray[Any] | Sequence[Any]) -> str:
        """Add `array` to the graph as the constant `name`; float64 becomes float32."""
        value = np.asarray(array)
        if value.dtype == np.float64:
            value = value.astype(np.float32)
        self.constants[name] = numpy_helper.from_array(np.ascontiguousarray(value), name)
        return name

    def indices(self, *values: int) -> str:
        """Add `values`, such as axes, a shape or positions, to the graph as an int64 constant."""
        name = "indices_" + "_".join(str(value).replace("-", "minus") for value in values)
        return self.constant(name, np.array(values, np.int64))

    def node(self, op: str, inputs: Sequence[str], name: str, **attributes: Any) -> str:
        """Add the ONNX operator `op`, with one output, to the graph; return the output's name,
        which is `name`.
        """
        self.nodes.append(helper.make_node(op, list(inputs), [name], name=name, **attributes))
        return name

    def float_(self, source: str, name: str) -> str:
        """Cast the tensor `source` to float32."""
        return self.node("Cast", [source], name, to=TensorProto.FLOAT)

    def normalised(self, source: str, key: str, name: str) -> str:
        """Apply layer normalisation to the tensor `source`, with the weights whose names begin with
        `key`.
        """
        scale = self.constant(f"{name}_scale", self.weights[f"{key}.weight"])
        shift = self.constant(f"{name}_shift", self.weights[f"{key}.bias"])
        return self.node(
            "LayerNormalization", [source, scale, shift], name, axis=-1, epsilon=EPSILON
        )

    def linear(
        self, sources: tuple[str, ...], matrix: NDArray[Any], bias: NDArray[Any], name: str
    ) -> str:
        """Add the nodes that multiply an input by `matrix` and add `bias`; return the name of their
        output.

        sources: names of the input's tensors, as `entry` returned them (three of them in int8).
        """
        if self.int8:
            values, scales = quantised(matrix, axis=0)
            source, scale, zero = sources
            integers = self.node(
                "MatMulInteger", [source, self.constant(f"{name}_w", values), zero], f"{name}_int32"
            )
            joint_scale = self.node(
                "Mul", [scale, self.constant(f"{name}_s", scales[0])], f"{name}_scale"
            )
            product = self.node(
                "Mul", [self.float_(integers, f"{name}_float"), joint_scale], f"{name}_product"
            )
        else:
            product = self.node(
                "MatMul", [sources[0], self.constant(f"{name}_w", matrix)], f"{name}_product"
            )
        return self.node("Add", [product, self.constant(f"{name}_b", bias)], name)

    def entry(self, source: str, name: str) -> tuple[str, ...]:
        """The tensors to pass to `linear` for `source`: itself or, if int8, quantised with scale
        and zero point.
        """
        if not self.int8:
            return (source,)
        names = (f"{name}_uint8", f"{name}_scale", f"{name}_zero")
        self.nodes.append(
            helper.make_node("DynamicQuantizeLinear", [source], list(names), name=name)
        )
        return names


def quantised(matrix: NDArray[Any], axis: int) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Quantise `matrix` to int8; return the int8 matrix and its scales, one for all entries along
    `axis`.
    """
    scale = np.abs(matrix).max(axis=axis, keepdims=True) / 127
    scale[scale == 0] = 1
    return np.rint(matrix / scale).astype(np.int8), scale.astype(np.float32)


def bert_states(writer: GraphWriter, *, bias: str | None, pairs: bool = False) -> str:
    """Add a BERT model with the writer's weights; return the name of its token states after the
    last layer.

    bias: tensor to add to all attention scores; None adds nothing. pairs: whether texts come in
    pairs, so that the graph has TYPE_IDS as an input.
    """
    states = _embeddings(writer, pairs=pairs)
    normed_by = "embeddings.LayerNorm"
    layers = {key.split(".")[2] for key in writer.weights if key.startswith("encoder.layer.")}
    for layer in range(len(layers)):
        key = f"encoder.layer.{layer}"
        attended = _attention(writer, key, states, bias, normed_by)
        states = _feed_forward(writer, key, attended)
        normed_by = f"{key}.output.LayerNorm"
    return states


def model_of(
    writer: GraphWriter, name: str, inputs: Sequence[str], outputs: Mapping[str, Sequence[Any]]
) -> Any:
    """Make a checked ONNX model of the writer's graph. inputs: names of int64 tensors of shape
    (texts, length). outputs: shapes of float32 tensors by name.
    """
    graph = helper.make_graph(
        writer.nodes,
        name,
        [
            helper.make_tensor_value_info(each, TensorProto.INT64, ["texts", "length"])
            for each in inputs
        ],
        [
            helper.make_tensor_value_info(each, TensorProto.FLOAT, list(shape))
            for each, shape in outputs.items()
        ],
        list(writer.constants.values()),
    )
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", OPSET)], producer_name="remembrancer"
    )
    model.ir_version = IR_VERSION
    onnx.checker.check_model(model)
    return model


def width_of(weights: Weights) -> int:
    """Number of dimensions of a token's state."""
    return int(weights["embeddings.word_embeddings.weight"].shape[1])


def _embeddings(writer: GraphWriter, *, pairs: bool) -> str:
    """Add the first step: the sum of word, position and token type vectors, normalised. Without
    pairs, the token type is always 0.
    """
    word = writer.weights["embeddings.word_embeddings.weight"]
    kinds = writer.weights["embeddings.token_type_embeddings.weight"]
    position_table = writer.weights["embeddings.position_embeddings.weight"]
    if not pairs:
        position_table = position_table + kinds[0]
    positions = writer.constant("positions", position_table)
    length = writer.node("Shape", [INPUT_IDS], "length", start=1, end=2)
    zero = writer.indices(0)
    position_vectors = writer.node("Slice", [positions, zero, length, zero], "place")
    if writer.int8:
        rows, scales = quantised(word, axis=1)
        small = writer.node(
            "Gather", [writer.constant("word_table", rows), INPUT_IDS], "words_int8"
        )
        scale = writer.node(
            "Gather", [writer.constant("word_scales", scales), INPUT_IDS], "words_scale"
        )
        words = writer.node("Mul", [writer.float_(small, "words_float"), scale], "words")
    else:
        words = writer.node("Gather", [writer.constant("word_table", word), INPUT_IDS], "words")
    summed = writer.node("Add", [words, position_vectors], "embedded")
    if pairs:
        kind_table = writer.constant("token_types", kinds)
        kind_vectors = writer.node("Gather", [kind_table, TYPE_IDS], "type_vectors")
        summed = writer.node("Add", [summed, kind_vectors], "embedded_kinds")
    return writer.normalised(summed, "embeddings.LayerNorm", "states")


def _smoothed(
    writer: GraphWriter, source: str, normed_by: str, matrices: Sequence[NDArray[Any]], name: str
) -> tuple[str, list[NDArray[Any]]]:
    """Scale outlier channels of `source` down, and `matrices` up to compensate (SmoothQuant, Xiao
    et al. 2023).

    An activation has a single scale, so a few large channels make all others imprecise. A channel's
    size is estimated from the weights of the layer normalisation `normed_by`, whose output `source`
    is, without sample texts.
    """
    if not writer.int8:
        return source, list(matrices)
    reach = 3 * np.abs(writer.weights[f"{normed_by}.weight"]) + np.abs(
        writer.weights[f"{normed_by}.bias"]
    )
    largest = np.max([np.abs(matrix).max(axis=1) for matrix in matrices], axis=0)
    damping = reach**SMOOTHING / np.maximum(largest, 1e-5) ** (1 - SMOOTHING)
    damping /= np.exp(np.log(damping).mean())
    damped = writer.node("Mul", [source, writer.constant(f"{name}_damping", 1 / damping)], name)
    return damped, [matrix * damping[:, None] for matrix in matrices]


def _attention(writer: GraphWriter, key: str, states: str, bias: str | None, normed_by: str) -> str:
    """Add the self-attention of the layer `key`, with residual and normalisation; return the name
    of its output.
    """
    weights = writer.weights
    name = key.replace("encoder.layer.", "layer")
    kinds = ("query", "key", "value")
    matrices = [weights[f"{key}.attention.self.{kind}.weight"].T for kind in kinds]
    matrices[0] = matrices[0] * np.float32(HEAD_SIZE**-0.5)  # the scale of the attention scores
    biases = [weights[f"{key}.attention.self.{kind}.bias"] for kind in kinds]
    biases[0] = biases[0] * np.float32(HEAD_SIZE**-0.5)
    source, matrices = _smoothed(writer, states, normed_by, matrices, f"{name}_attention_in")
    entry = writer.entry(source, f"{name}_attention_entry")
    heads = []
    width = width_of(weights)
    orders = ([0, 2, 1, 3], [0, 2, 3, 1], [0, 2, 1, 3])
    for kind, matrix, offset, order in zip(kinds, matrices, biases, orders, strict=True):
        vectors = writer.linear(entry, matrix, offset, f"{name}_{kind}")
        shape = writer.indices(0, 0, width // HEAD_SIZE, HEAD_SIZE)
        split = writer.node("Reshape", [vectors, shape], f"{name}_{kind}_split")
        heads.append(writer.node("Transpose", [split], f"{name}_{kind}_heads", perm=order))
    scores = writer.node("MatMul", heads[:2], f"{name}_scores")
    if bias is not None:
        scores = writer.node("Add", [scores, bias], f"{name}_biased")
    attention = writer.node("Softmax", [scores], f"{name}_softmax", axis=-1)
    context = writer.node("MatMul", [attention, heads[2]], f"{name}_context")
    joined = writer.node("Transpose", [context], f"{name}_joined", perm=[0, 2, 1, 3])
    mixed = writer.node("Reshape", [joined, writer.indices(0, 0, width)], f"{name}_mixed")
    out = _dense(
        writer,
        f"{key}.attention.output.dense",
        f"{name}_mixed_entry",
        mixed,
        f"{name}_attention_out",
    )
    residual = writer.node("Add", [states, out], f"{name}_attention_residual")
    return writer.normalised(residual, f"{key}.attention.output.LayerNorm", f"{name}_attended")


def _dense(writer: GraphWriter, key: str, entry: str, source: str, name: str) -> str:
    weights = writer.weights
    return writer.linear(
        writer.entry(source, entry), weights[f"{key}.weight"].T, weights[f"{key}.bias"], name
    )


def _feed_forward(writer: GraphWriter, key: str, states: str) -> str:
    """Add the feed-forward network of the layer `key`, with residual and normalisation; return its
    output's name.
    """
    weights = writer.weights
    name = key.replace("encoder.layer.", "layer")
    wide = [weights[f"{key}.intermediate.dense.weight"].T]
    source, wide = _smoothed(
        writer, states, f"{key}.attention.output.LayerNorm", wide, f"{name}_wide_in"
    )
    entry = writer.entry(source, f"{name}_wide_entry")
    widened = writer.linear(
        entry, wide[0], weights[f"{key}.intermediate.dense.bias"], f"{name}_wide"
    )
    active = writer.node("Gelu", [widened], f"{name}_active")
    narrowed = _dense(
        writer, f"{key}.output.dense", f"{name}_narrow_entry", active, f"{name}_narrow"
    )
    residual = writer.node("Add", [states, narrowed], f"{name}_residual")
    return writer.normalised(residual, f"{key}.output.LayerNorm", f"{name}_states")
