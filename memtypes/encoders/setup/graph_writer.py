"""Writing an ONNX graph a node at a time, with matrix products in float32 or in int8.

Knows ONNX's operators. Does not know any model.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

Weights: TypeAlias = Mapping[str, NDArray[Any]]

EPSILON = 1e-12  # BERT's own, in every layer normalisation


@dataclass(slots=True)
class GraphWriter:
    """Collects nodes and constants; every method gives the name of the tensor that it wrote."""

    weights: Weights
    int8: bool
    nodes: list[Any] = field(default_factory=list)
    constants: dict[str, Any] = field(default_factory=dict)

    def constant(self, name: str, array: NDArray[Any] | Sequence[Any]) -> str:
        """A fixed tensor; float64 becomes float32."""
        value = np.asarray(array)
        if value.dtype == np.float64:
            value = value.astype(np.float32)
        self.constants[name] = numpy_helper.from_array(np.ascontiguousarray(value), name)
        return name

    def indices(self, *values: int) -> str:
        """Axes, shapes and places, as ONNX takes them."""
        name = "indices_" + "_".join(str(value).replace("-", "minus") for value in values)
        return self.constant(name, np.array(values, np.int64))

    def node(self, op: str, inputs: Sequence[str], name: str, **attributes: Any) -> str:
        """An operator with one output."""
        self.nodes.append(helper.make_node(op, list(inputs), [name], name=name, **attributes))
        return name

    def float_(self, source: str, name: str) -> str:
        """The source in float32."""
        return self.node("Cast", [source], name, to=TensorProto.FLOAT)

    def normalised(self, source: str, key: str, name: str) -> str:
        """The source through the layer normalisation whose weights stand under `key`."""
        scale = self.constant(f"{name}_scale", self.weights[f"{key}.weight"])
        shift = self.constant(f"{name}_shift", self.weights[f"{key}.bias"])
        return self.node("LayerNormalization", [source, scale, shift], name, axis=-1, epsilon=EPSILON)

    def linear(self, sources: tuple[str, ...], matrix: NDArray[Any], bias: NDArray[Any], name: str) -> str:
        """The product with `matrix`, plus `bias`; `sources` is what `entry` gave."""
        if self.int8:
            values, scales = quantised(matrix, axis=0)
            source, scale, zero = sources
            whole = self.node("MatMulInteger", [source, self.constant(f"{name}_w", values), zero], f"{name}_int32")
            both = self.node("Mul", [scale, self.constant(f"{name}_s", scales[0])], f"{name}_scale")
            product = self.node("Mul", [self.float_(whole, f"{name}_float"), both], f"{name}_product")
        else:
            product = self.node("MatMul", [sources[0], self.constant(f"{name}_w", matrix)], f"{name}_product")
        return self.node("Add", [product, self.constant(f"{name}_b", bias)], name)

    def entry(self, source: str, name: str) -> tuple[str, ...]:
        """The tensors that a matrix product takes: the source itself, or its uint8 form with scale and zero point."""
        if not self.int8:
            return (source,)
        names = (f"{name}_uint8", f"{name}_scale", f"{name}_zero")
        self.nodes.append(helper.make_node("DynamicQuantizeLinear", [source], list(names), name=name))
        return names


def quantised(matrix: NDArray[Any], axis: int) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """int8 values and the scale along `axis` that gives the matrix back: matrix is about values * scale."""
    scale = np.abs(matrix).max(axis=axis, keepdims=True) / 127
    scale[scale == 0] = 1
    return np.rint(matrix / scale).astype(np.int8), scale.astype(np.float32)
