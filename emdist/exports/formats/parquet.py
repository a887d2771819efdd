"""Parquet: a table with a row for each component and feature, for R, pandas, Spark and DuckDB."""

from __future__ import annotations

import io
import json
from typing import Any

import numpy as np

from emdist.exports.model import ExportedModel
from emdist.runtime.extras import need


def write(model: ExportedModel) -> bytes:
    """Return a table of the parameters in long form.

    The columns are ``component``, ``feature``, ``weight`` (of mixtures), and one for each parameter
    that a feature has, such as ``means`` or ``cluster_centers``. A parameter that is a row of
    numbers for a feature, such as a row of a covariance matrix, is a list. The metadata of the
    table, by the key ``emdist``, hold the estimator and parameters of another form as JSON.
    """
    pyarrow = need("pyarrow", "Export to Parquet")
    from pyarrow import parquet

    k, d = model.fitted.n_components, model.fitted.n_features
    columns: dict[str, Any] = {
        "component": np.repeat(np.arange(k), d),
        "feature": np.tile(np.array(model.names, object), k),
    }
    rest: dict[str, Any] = {"estimator": model.kind}
    for name, value in model.arrays().items():
        if name == "weights":
            columns["weight"] = np.repeat(value, d)
        elif _is_of_features(model, name, value, k, d):
            flat = value.reshape(k * d, *value.shape[2:])
            columns[name] = flat if flat.ndim == 1 else list(flat)
        else:
            rest[name] = value.tolist()
    table = pyarrow.table(columns).replace_schema_metadata({"emdist": json.dumps(rest)})
    stream = io.BytesIO()
    parquet.write_table(table, stream)
    return stream.getvalue()


def _is_of_features(model: ExportedModel, name: str, value: Any, k: int, d: int) -> bool:
    """Return whether `value` has an entry for each component and feature, (k, d) or (k, d, m)."""
    if name == "covariances":  # Those of tied mixtures are (d, d), which may look like (k, d).
        kind = getattr(model.estimator, "covariance_type", "full")
        return kind in ("full", "diag") and value.shape[:2] == (k, d)
    return name in _OF_FEATURES and value.shape[:2] == (k, d) and value.ndim <= 3


_OF_FEATURES = ("cluster_centers", "means", "probabilities", "rates")

writer = write
