"""NPZ: the parameters as NumPy arrays by name, for `numpy.load`."""

from __future__ import annotations

import io

import numpy as np

from emdist.exports.model import ExportedModel


def write(model: ExportedModel) -> bytes:
    """Return an archive of the fitted parameters, the names of the features and of the estimator.

    Arrays are named as the attributes of the estimator, without the underscore at the end. They
    hold numbers and text only, so `numpy.load` needs no pickles.
    """
    arrays = model.arrays()
    arrays["feature_names"] = np.array(model.names, np.str_)
    arrays["estimator"] = np.array(model.kind, np.str_)
    stream = io.BytesIO()
    np.savez_compressed(stream, allow_pickle=False, **arrays)
    return stream.getvalue()


writer = write
