"""Builds the ONNX graph of the sentence encoder: a BERT model, and the mean of its token states.
Needs `onnx`, installed for set-up only.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from memtypes.encoders.onnx import SENTENCE, TOKENS
from memtypes.encoders.setup.bert_graph import (
    INPUT_IDS,
    MASK,
    GraphWriter,
    Weights,
    bert_states,
    model_of,
    width_of,
)

MASKED = -10_000.0  # added to the attention scores of padding: e^-10000 is 0 in float32


def build_graph(weights: Weights, *, int8: bool) -> Any:
    """Build the ONNX model of the encoder with these weights. int8: whether to quantise it.

    Its inputs are input_ids and attention_mask, int64 of shape (texts, tokens). Its outputs are
    float32 vectors of unit length: sentence, of shape (texts, dimensions), the mean of the tokens'
    states; and tokens, of shape (texts, tokens, dimensions), the tokens' states after the last
    layer.
    """
    writer = GraphWriter(weights, int8)
    mask = writer.float_(MASK, "mask")
    one = writer.constant("one", np.float32(1))  # type: ignore[arg-type]
    masked = writer.constant("masked", np.float32(MASKED))  # type: ignore[arg-type]
    padding = writer.node("Sub", [one, mask], "padding")
    low = writer.node("Mul", [padding, masked], "low")
    bias = writer.node("Unsqueeze", [low, writer.indices(1, 2)], "attention_bias")
    states = bert_states(writer, bias=bias)
    present = writer.node(
        "Mul", [states, writer.node("Unsqueeze", [mask, writer.indices(-1)], "mask_3d")], "present"
    )
    total = writer.node("ReduceSum", [present, writer.indices(1)], "total", keepdims=0)
    writer.node("LpNormalization", [total], SENTENCE, axis=-1, p=2)
    writer.node("LpNormalization", [states], TOKENS, axis=-1, p=2)
    width = width_of(weights)
    outputs = {SENTENCE: ["texts", width], TOKENS: ["texts", "length", width]}
    return model_of(writer, "sentence_encoder", [INPUT_IDS, MASK], outputs)
