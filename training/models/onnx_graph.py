"""Small ONNX graphs for members that are a formula: float64 inside, one table in, one probability out."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import ArrayLike
from onnx import TensorProto, helper, numpy_helper

__all__ = ["OPSET", "FormulaGraph", "linear"]

# The newest that tf2onnx and ONNX Runtime both know is later; 17 has all we use, and old runtimes read it too.
OPSET = 17
IR_VERSION = 8


class FormulaGraph:
    """Build a graph from `tabular` (float32 [n, columns]) to `probability` (float64 [n]) operation by operation.

    >>> graph = FormulaGraph(columns=1)
    >>> doubled = graph.add("Mul", graph.column(0), graph.constant(2.0))
    >>> model = graph.finish(doubled)
    >>> [node.op_type for node in model.graph.node][-2:]
    ['Mul', 'Identity']
    """

    def __init__(self, columns: int) -> None:
        self._columns = columns
        self._nodes: list[Any] = []
        self._constants: list[Any] = []
        self.table = self.add("Cast", "tabular", to=TensorProto.DOUBLE)

    def add(self, operation: str, *inputs: str, **attributes: Any) -> str:
        """Add a node, and return the name of its output."""
        name = f"v{len(self._nodes)}"
        self._nodes.append(helper.make_node(operation, list(inputs), [name], **attributes))
        return name

    def constant(self, value: ArrayLike, dtype: Any = np.float64) -> str:
        """Add a constant, and return its name."""
        name = f"c{len(self._constants)}"
        self._constants.append(numpy_helper.from_array(np.asarray(value, dtype), name))
        return name

    def column(self, number: int) -> str:
        """Return column `number` of the table, shape [n]."""
        return self.add("Gather", self.table, self.constant(number, np.int64), axis=1)

    def sum(self, *terms: str) -> str:
        """Add up `terms`."""
        return self.add("Sum", *terms)

    def finish(self, probability: str) -> Any:
        """Return the checked model that answers the value `probability`, shape [n]."""
        self._nodes.append(helper.make_node("Identity", [probability], ["probability"]))
        model = helper.make_model(
            helper.make_graph(
                self._nodes,
                "member",
                [helper.make_tensor_value_info("tabular", TensorProto.FLOAT, ["n", self._columns])],
                [helper.make_tensor_value_info("probability", TensorProto.DOUBLE, ["n"])],
                self._constants,
            ),
            opset_imports=[helper.make_opsetid("", OPSET)],
            ir_version=IR_VERSION,
        )
        onnx.checker.check_model(model)
        return model


def linear(graph: FormulaGraph, weights: Sequence[float], intercept: float) -> str:
    """Add `table @ weights + intercept` to `graph`, and return its name."""
    return graph.add("Add", graph.add("MatMul", graph.table, graph.constant(weights)), graph.constant(intercept))
