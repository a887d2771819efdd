"""What the estimators share: fitting, predicting, saving."""

from __future__ import annotations

import json
import os
import warnings
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from emdist.build import make_fit, make_model, make_survey, save_fitted
from emdist.config import FitSection, ModelSection, parse_bytes
from emdist.errors import ConfigError, StartError
from emdist.estimators.inputs import is_in_memory, make_engine, make_source
from emdist.fit.events import Event, Iterated, unheard
from emdist.fit.fitted import Collect, Collected, Fitted, result
from emdist.fit.loop import iterate
from emdist.fit.start import Given
from emdist.interfaces import Engine, FitState, Floats, Source, Status
from emdist.store.location import Location


class Estimator(BaseEstimator):  # type: ignore[misc]
    """Base of the estimators; scikit-learn's conventions, any source, any engine.

    It has state as every scikit-learn estimator has: parameters as given, and attributes with a
    trailing underscore after `fit`.
    """

    # Set by every subclass's __init__, as scikit-learn wants them.
    engine: Any
    precision: Any
    block_size: Any
    missing_chunks: Any
    non_finite: Any
    random_state: Any
    verbose: Any

    def _sections(self) -> tuple[ModelSection, FitSection, Given]:
        """The configuration that the parameters amount to."""
        raise NotImplementedError

    def _publish(self, fitted: Fitted, section: ModelSection) -> None:
        """Set the attributes with a trailing underscore."""
        raise NotImplementedError

    def _seed(self) -> int:
        if isinstance(self.random_state, int | np.integer):
            return int(self.random_state)
        return int(check_random_state(self.random_state).randint(2**31 - 1))

    def _source(self, X: Any, sample_weight: Any, engine: Engine, reset: bool) -> Source:
        if is_in_memory(X):
            validate_data(self, X, reset=reset, skip_check_array=True)
        block_bytes = None
        if self.block_size is not None:
            try:
                block_bytes = parse_bytes(str(self.block_size))
            except ValueError as error:
                raise ConfigError(f"block_size: {error}") from None
        source = make_source(
            X, sample_weight, engine, block_bytes, self.missing_chunks, self.non_finite
        )
        if reset:
            self.n_features_in_ = source.shape[1]
        return source

    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> Self:
        """Fit to the rows of `X`.

        Parameters
        ----------
        X
            Array-like (n, d), dask array, ``zarr.Array``, or path or URL of a Zarr array, which
            is never loaded whole.
        y
            Ignored, for scikit-learn's pipelines.
        sample_weight
            (n,) weights >= 0, or path or URL of a 1-D Zarr array; None for 1.

        Returns
        -------
        The estimator itself.

        Raises
        ------
        EmdistError
            See `emdist.errors`; those about data and parameters are ValueErrors too.
        """
        engine = make_engine(self.engine)
        source = self._source(X, sample_weight, engine, reset=True)
        model, section, given = self._sections()
        if model.n_components > source.shape[0]:
            raise StartError(
                f"n_samples={source.shape[0]} should be >= {model.n_components}, the number of "
                "clusters or components. Ask for fewer."
            )
        survey = engine.map_reduce(make_survey(source, model, section), range(len(source)))
        survey.check(model.n_components)
        listen = _say if self.verbose else unheard
        fit = make_fit(model, section, source, engine, survey, given, listen)
        state = first = FitState(section.seed)
        for state in iterate(fit, first):
            listen(Iterated(state.history[-1], 0.0, 0, 0))
        best = state.best
        assert best is not None
        history = tuple(r for r in state.history if r.restart == best.restart)
        fitted = result(best, survey.spread, history)
        self._adopt(fitted, model)
        if best.status is Status.MAX_ITER:
            warnings.warn(
                f"No start converged in {best.iterations} iterations. {best.status.value}",
                ConvergenceWarning,
                stacklevel=2,
            )
        self._remember(source, engine, X)
        return self

    def _remember(self, source: Source, engine: Engine, X: Any) -> None:
        """Called after `fit` with what was read; nothing is kept by default."""

    def _adopt(self, fitted: Fitted, section: ModelSection) -> None:
        self._fitted = fitted
        self._section = section
        self.n_iter_ = fitted.iterations
        self.history_ = fitted.history
        self.n_features_in_ = fitted.n_features
        self._publish(fitted, section)

    def _collect(self, X: Any, resp: bool = False) -> Collected:
        check_is_fitted(self)
        engine = make_engine(self.engine)
        source = self._source(X, None, engine, reset=False)
        self._check_features(source)
        model = make_model(self._section)
        task = Collect(
            source,
            model,
            self._fitted.params,
            self._fitted.spread.origin,
            self._fitted.numerics(model, source.dtype),
            resp,
        )
        collected: Collected = engine.map_reduce(task, range(len(source)))
        return collected

    def _check_features(self, source: Source) -> None:
        if source.shape[1] != self.n_features_in_:
            raise StartError(
                f"X has {source.shape[1]} features, but {type(self).__name__} is expecting "
                f"{self.n_features_in_} features as input."
            )

    def predict(self, X: Any) -> NDArray[np.int32]:
        """Index of each row's cluster or component: (n,) int32.

        `X` as in `fit`. Rows left out by a policy have no label: the result is shorter then;
        write labels to a grid with `emdist label` instead.
        """
        return self._collect(X).labels

    def save(self, path: str | os.PathLike[str]) -> None:
        """Store the fitted estimator in the folder `path`, or at a URL; `emdist.load` reads it."""
        check_is_fitted(self)
        extra = {"estimator": type(self).__name__, "params": _plain(self.get_params(deep=False))}
        save_fitted(Location(os.fspath(path)), self._section, self._fitted, extra)


def _plain(params: dict[str, Any]) -> dict[str, Any]:
    """The parameters that JSON can hold; arrays, clients and generators are left out."""
    out = {}
    for name, value in params.items():
        try:
            json.dumps(value)
        except TypeError:
            continue
        out[name] = value
    return out


def _say(event: Event) -> None:
    if isinstance(event, Iterated):
        record = event.record
        print(
            f"start {record.restart + 1}, iteration {record.iteration}: "
            f"objective {record.objective:.8g}, change {record.change:.3g}"
        )


def as_floats(value: Any, name: str) -> Floats:
    """A start given by the user, as float64; StartError if it holds no numbers."""
    try:
        return np.array(value, np.float64)
    except (TypeError, ValueError):
        raise StartError(f"{name} holds no numbers: {value!r}") from None
