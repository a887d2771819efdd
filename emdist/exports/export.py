"""`export`: write a fitted model in the format of another program."""

from __future__ import annotations

import os
from typing import Any

from sklearn.utils.validation import check_is_fitted

from emdist import store
from emdist.errors import ConfigError
from emdist.estimators.base import Estimator
from emdist.estimators.inputs import as_location
from emdist.estimators.loading import load
from emdist.estimators.wording import in_parameters
from emdist.exports.model import ExportedModel
from emdist.inputs.plugins import plugins
from emdist.store.places.location import Location


@in_parameters
def export(model: Any, path: str | os.PathLike[str], *, overwrite: bool = False) -> None:
    """Write a fitted model as a file for other programs.

    Parameters
    ----------
    model : estimator, str or path-like
        A fitted estimator, the folder of a saved model, or that of a run.
    path : str or path-like
        Path or URL of the file. Its ending says what is written:

        - ``.onnx``: a graph that labels rows in ONNX runtimes, in float64: the output ``label``,
          and ``probabilities`` of mixtures or ``distances`` to centres. Needs the extra ``onnx``.
        - ``.npz``: the parameters as NumPy arrays.
        - ``.parquet``: a table of the parameters, a row for each component and feature.
        - ``.faiss``: a faiss index of the centres, in float32.
    overwrite : bool, default=False
        Whether to replace a file.

    Raises
    ------
    ConfigError
        If the ending is not known, the format cannot hold the model, or the file exists.
    NotFoundError
        If there is no model at `model`.

    Examples
    --------
    >>> emdist.export("runs/profiles", "profiles.onnx")  # doctest: +SKIP
    """
    place = as_location(path, "a file to write")
    writer = _writer(place)
    if not overwrite and store.places.files.open_folder(place.parent).exists(place.name):
        raise ConfigError(f"{place} exists. Choose another path, or overwrite it.")
    if not isinstance(model, Estimator):
        if not isinstance(model, str | os.PathLike | Location):
            raise ConfigError(
                f"model is of the type {type(model).__name__}; expected a fitted estimator of "
                "emdist, or the path of a saved model or of a run."
            )
        model = load(str(model))
    check_is_fitted(model)
    if model.sequential:
        raise ConfigError(
            f"A {type(model).__name__} cannot be exported: the state of a row depends on the rows "
            "around it, which these formats do not know. Use save and emdist.load."
        )
    data = writer(ExportedModel(model))
    store.places.files.open_folder(place.parent).write(place.name, data)


def formats() -> list[str]:
    """Return the endings of the files that can be written."""
    return sorted(f".{name}" for name in plugins("emdist.exports.formats", "writer"))


def _writer(place: Location) -> Any:
    known = plugins("emdist.exports.formats", "writer")
    ending = place.name.rpartition(".")[2].lower()
    if "." not in place.name or ending not in known:
        raise ConfigError(
            f"{place.name!r} does not say what to write; expected a file that ends with one of "
            f"{', '.join(formats())}."
        )
    return known[ending]
