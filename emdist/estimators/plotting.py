"""`Plotting`, a mixin of the estimators: draws figures of the fitted model by matplotlib."""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted

from emdist import inputs, jobs, plot
from emdist.errors import ConfigError, ShapeError
from emdist.estimators.inputs import make_engine
from emdist.estimators.wording import Speaking
from emdist.inputs.foreign import is_a
from emdist.inputs.quoting import shown

if TYPE_CHECKING:
    from emdist.fit.fitted import Fitted
    from emdist.plot.findings import DrawnRows, Findings, LabelGrid
    from emdist.store.places.location import Location

#: The label of positions of a grid that have no row.
_NONE = -3


class Plotting(Speaking):
    """Mixin of the estimators with the method `plot`."""

    engine: Any
    predict: Any
    _fitted: Fitted
    _told: Any
    #: Returns the rows as they are, checked against the fitted features.
    _matching: Any
    #: The run that the model was loaded from, or None.
    _run: Location | None = None

    def plot(
        self, kind: str = "profiles", X: Any = None, *, other: Any = None, ax: Any = None,
        max_rows: int | None = None, random_state: int = 0, **options: Any,
    ) -> Any:  # fmt: skip
        """Draw a figure of the fitted model by matplotlib.

        Of `X`, at most 4,000 rows are drawn at random, from at most 64 blocks.

        Parameters
        ----------
        kind : str, default='profiles'
            The figure:

            - 'convergence': The objective at each iteration; ``terms=True`` adds Q and entropy.
            - 'profiles': Means of the components as a heat map, features by components.
            - 'sizes': Shares of the components.
            - 'scatter': Rows in a plane, with ellipses. ``plane='features'``, ``'pca'`` or
              ``'discriminant'``; ``features=[a, b]`` chooses features by name or number.
            - 'density': One or two features: rows, components and mixture. ``features=[a]``.
            - 'silhouettes': Silhouettes of the rows, for squared Euclidean distances.
            - 'uncertainty': How sure the labels are.
            - 'overlap': Which components overlap.
            - 'label_map': Labels on a grid of two dimensions. ``shape=(height, width)`` for rows
              that are the pixels of an image.
            - 'images': Means as images, if features are pixels. ``shape=(height, width)``.
            - 'flow': How two models divide the same rows. Needs `other`.
            - 'transitions': Which state of a hidden Markov model follows which.
            - 'criterion': The criterion of a sweep for each number of components.
        X : array-like or other data, default=None
            Rows, as in `fit`. Most figures need them. None takes the data of the run that the
            model was loaded from.
        other : estimator or array-like of shape (n_samples,), default=None
            Another fitted model, or its labels of all rows of `X`.
        ax : matplotlib axes, default=None
            Where to draw; None makes a new figure.
        max_rows : int or None, default=None
            How many rows to draw; None for 4,000, or fewer if there are many features.
        random_state : int, default=0
            Random seed of the rows that are drawn.
        **options
            Options of the figure.

        Returns
        -------
        ax : matplotlib axes
            The axes. ``ax.figure.savefig(path)`` writes the figure.

        Raises
        ------
        ConfigError
            If there is no such figure, if something that it needs is missing, or if matplotlib is
            not installed.
        """
        check_is_fitted(self)
        size = None if max_rows is None else inputs.validation.whole_number(max_rows, "max_rows", 1)
        seed = inputs.validation.whole_number(random_state, "random_state", 0)
        findings = self._findings(kind, X, size, seed)
        if kind == "label_map" and X is not None:
            findings = replace(findings, grid=self._grid(X, options.pop("shape", None)))
        if other is not None:
            findings = _beside(findings, other)
        return plot.chart.plot(findings, kind, ax, **options)

    def _findings(self, kind: str, X: Any, size: int | None, seed: int) -> Findings:
        plot.chart.chart(kind)
        if X is not None:
            return plot.findings.Findings(self._told(), self._fitted, self._drawn(X, size, seed))
        if self._run is None:
            return plot.findings.Findings(self._told(), self._fitted)
        return jobs.findings.findings_of_run(self._run, kind, make_engine(self.engine), size, seed)

    def _drawn(self, X: Any, size: int | None, seed: int) -> DrawnRows:
        engine = make_engine(self.engine)
        source = self._matching(X, None, engine)
        return plot.drawing.drawn_rows(self._told(), self._fitted, source, engine, size, seed)

    def _grid(self, X: Any, shape: Any) -> LabelGrid | None:
        """Return the labels of `X` on a grid, if it has one."""
        labels = self.predict(X)
        dims = list(getattr(labels, "dims", ()))
        if len(dims) < 2 and shape is None:
            return None
        values = np.asarray(labels)
        names = ("line of the image", "column of the image")
        if shape is not None:
            if len(shape) != 2 or int(np.prod(shape)) != values.size:
                raise ShapeError(
                    f"shape={shown(shape)}; expected the height and width of {values.size:,} rows."
                )
            values = values.reshape(shape)
        else:
            names = (str(dims[-2]), str(dims[-1]))
            while values.ndim > 2:
                values = values[0]
        if values.dtype.kind == "f":
            values = np.where(np.isnan(values), _NONE, values)
        found = plot.findings.LabelGrid.of(values.astype(np.int64), names, _NONE)
        rises = shape is None and _rises(labels, names[0])
        return replace(found, origin="lower" if rises else "upper")


def _rises(labels: Any, name: str) -> bool:
    """Return whether the coordinates of a dimension rise, as latitudes from the south do."""
    if not is_a(labels, "xarray", "DataArray") or name not in labels.coords:
        return False
    along = np.asarray(labels.coords[name])
    return bool(along.ndim == 1 and len(along) > 1 and along[0] < along[-1])


def _beside(findings: Findings, other: Any) -> Findings:
    """Return findings with the labels that another model gives to the drawn rows."""
    rows = findings.rows
    if rows is None:
        raise ConfigError("other= needs rows. Pass X.")
    labels: NDArray[np.int64]
    if hasattr(other, "predict"):
        if getattr(other, "sequential", False):
            raise ConfigError(
                "The states of a hidden Markov model depend on whole sequences. Pass other= the "
                "labels that it predicts."
            )
        check_is_fitted(other)
        with warnings.catch_warnings():
            # The rows come from X, whose names were checked.
            warnings.filterwarnings("ignore", "X does not have valid feature names")
            labels = np.asarray(other.predict(rows.x)).astype(np.int64)
    else:
        given = np.asarray(other)
        if given.ndim != 1 or given.dtype.kind not in "iu" or len(given) <= int(rows.row.max()):
            raise ShapeError(
                f"other has shape {given.shape} and dtype {given.dtype}; expected a fitted "
                "model, or a whole number for each row of X."
            )
        labels = given[rows.row].astype(np.int64)
    return replace(findings, other=labels)
