"""A graph of ONNX operators, which grows node by node."""

from __future__ import annotations

from itertools import count
from typing import Any

import numpy as np
from numpy.typing import ArrayLike


class Graph:
    """Nodes and constants of an ONNX graph; all numbers are float64."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        self._numbers = count()

    def add(self, operator: str, *inputs: str, output: str = "", **attributes: Any) -> str:
        """Add a node and return the name of its output."""
        from onnx import helper

        name = output or f"v{next(self._numbers)}"
        self.nodes.append(helper.make_node(operator, list(inputs), [name], **attributes))
        return name

    def constant(self, value: ArrayLike) -> str:
        """Add a constant and return its name: float64, or whole numbers as they are."""
        from onnx import numpy_helper

        array = np.asarray(value)
        if array.dtype.kind != "i":
            array = array.astype(np.float64)
        name = f"c{next(self._numbers)}"
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def index(self, *values: Any) -> str:
        """Add axes or other whole numbers as a constant (m,) int64."""
        return self.constant(np.array(values, np.int64))
