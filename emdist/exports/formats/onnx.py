"""ONNX: labels and probabilities, or distances, of rows, for onnxruntime and other runtimes."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from emdist.exports.graph import Graph
from emdist.exports.model import ExportedModel
from emdist.exports.preparing import prepared
from emdist.exports.scoring import distances, scores
from emdist.runtime.extras import need
from emdist.runtime.version import version

#: The version of the operators, of 2022: old enough for runtimes that are in use.
_OPSET = 17


def write(model: ExportedModel) -> bytes:
    """Return a graph with the input ``X`` (n, d) and the output ``label`` (n,).

    Mixtures also have the output ``probabilities`` (n, k), and those with noise a last column for
    it; models of centres have ``distances`` (n, k) where their dissimilarity is a distance.
    """
    need("onnx", "Export to ONNX")
    from onnx import TensorProto, helper

    graph = Graph()
    x = graph.add("Cast", "X", to=TensorProto.DOUBLE)
    if model.fitted.preparation is not None:
        x = prepared(graph, x, model.fitted.preparation)
    outputs = _mixture(graph, model, x) if model.is_mixture else _centres(graph, model, x)
    d, rows = model.fitted.n_features_in, "n"
    types = {"label": TensorProto.INT64}
    shapes: dict[str, Any] = {name: [rows, model.fitted.n_columns] for name in outputs}
    shapes["label"] = [rows]
    made = helper.make_graph(
        graph.nodes,
        "emdist",
        [helper.make_tensor_value_info("X", TensorProto.DOUBLE, [rows, d])],
        [
            helper.make_tensor_value_info(name, types.get(name, TensorProto.DOUBLE), shapes[name])
            for name in outputs
        ],
        graph.constants,
        doc_string=f"{model.kind} of emdist, {model.fitted.n_components} components",
    )
    whole = helper.make_model(
        made,
        opset_imports=[helper.make_opsetid("", _OPSET)],
        ir_version=8,
        producer_name="emdist",
        producer_version=version(),
    )
    helper.set_model_props(
        whole, {"estimator": model.kind, "feature_names": json.dumps(model.names_in)}
    )
    return bytes(whole.SerializeToString())


def _mixture(graph: Graph, model: ExportedModel, x: str) -> list[str]:
    joint = graph.add("Add", scores(graph, model, x), graph.constant(model.log_weights))
    graph.add("Softmax", joint, axis=1, output="probabilities")
    if not model.has_noise:
        _nearest(graph, "ArgMax", joint)
        return ["label", "probabilities"]
    found = graph.add("ArgMax", joint, axis=1, keepdims=0)
    last = graph.constant(np.array(model.fitted.n_components, np.int64))
    noise = graph.add("Equal", found, last)
    graph.add("Where", noise, graph.constant(np.array(-1, np.int64)), found, output="label")
    return ["label", "probabilities"]


def _centres(graph: Graph, model: ExportedModel, x: str) -> list[str]:
    found = distances(graph, model, x)
    if found is None:
        _nearest(graph, "ArgMax", scores(graph, model, x))
        return ["label"]
    _nearest(graph, "ArgMin", graph.add("Identity", found, output="distances"))
    return ["label", "distances"]


def _nearest(graph: Graph, operator: str, values: str) -> None:
    """Give each row the number of the best column; of equal ones the first, as emdist does."""
    graph.add(operator, values, axis=1, keepdims=0, output="label")


writer = write
