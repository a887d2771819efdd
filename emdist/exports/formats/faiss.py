"""faiss: an index of the centres, which finds the nearest ones of any vector."""

from __future__ import annotations

import numpy as np

from emdist.errors import ConfigError
from emdist.exports.model import ExportedModel
from emdist.runtime.extras import need


def write(model: ExportedModel) -> bytes:
    """Return an ``IndexFlatL2`` of the cluster centres, or of the means of a mixture.

    It holds float32. Vectors to be searched are prepared rows, if the model prepares rows.

    Raises
    ------
    ConfigError
        If the model has no centres, or float32 cannot tell them apart.
    """
    centres = getattr(model.estimator, "cluster_centers_", getattr(model.estimator, "means_", None))
    if centres is None:
        raise ConfigError(
            f"A {model.kind} has no centres, of which a faiss index could be made. Export its "
            "parameters as .npz or .parquet."
        )
    faiss = need("faiss", "Export to faiss")
    narrow = np.ascontiguousarray(centres, np.float32)
    if not np.isfinite(narrow).all() or len(np.unique(narrow, axis=0)) < len(
        np.unique(centres, axis=0)
    ):
        raise ConfigError(
            "faiss computes in float32, in which some of these centres are equal or infinite. "
            "Standardise the rows (prepare: [standardise]) before the fit."
        )
    index = faiss.IndexFlatL2(narrow.shape[1])
    index.add(narrow)
    return bytes(faiss.serialize_index(index))


writer = write
