"""Back from a folder to an estimator."""

from __future__ import annotations

import os
import warnings
from typing import Any, TypeVar, overload

from sklearn.exceptions import ConvergenceWarning

from emdist.composition.model import make_distribution
from emdist.errors import ConfigError
from emdist.estimators.base import Estimator
from emdist.estimators.inputs import as_location
from emdist.estimators.parameters_json import from_json
from emdist.estimators.wording import in_parameters
from emdist.fit.fitted import Fitted
from emdist.fit.state import Status
from emdist.inputs.plugins import plugins
from emdist.jobs.records import load_fitted, load_latest, reading_of
from emdist.mixtures.distribution import MixtureDistribution
from emdist.settings.config import ModelSection
from emdist.store.places.location import Location

E = TypeVar("E", bound=Estimator)

_WANTED = "the folder of a saved model or of a run"


@overload
def load(path: str | os.PathLike[str]) -> Estimator: ...


@overload
def load(path: str | os.PathLike[str], kind: type[E]) -> E: ...


@in_parameters
def load(path: str | os.PathLike[str], kind: type[Estimator] = Estimator) -> Estimator:
    """Load a saved estimator, or the model of a run.

    If the run has not finished, this is its last checkpoint: emdist warns, and ``converged_`` is
    False. The estimator predicts, and with ``warm_start`` its `fit` starts there.

    Parameters
    ----------
    path : str or path-like
        Folder or URL that `save` has written, or the folder of a run.
    kind : type, default=Estimator
        The class that is expected, such as `GaussianMixture`. A model of another kind is an error.
        Give it so that type checkers know what `load` returns.

    Returns
    -------
    Estimator
        Fitted, of the class `kind`.

    Raises
    ------
    NotFoundError
        If there is no model at `path`.
    CheckpointError
        If the model is damaged.
    ConfigError
        If `path` is not a path, or the model is of another kind.
    """
    place = as_location(path, _WANTED)
    section, fitted, meta = _loaded(place)
    estimator = _empty(section, meta.get("estimator"))
    known = estimator.get_params()
    reading = reading_of(place, section, meta).reading()
    estimator.set_params(**{name: value for name, value in reading.items() if name in known})
    if "assignment" in known:
        options = section.assignment_options or None
        estimator.set_params(assignment=section.assignment, assignment_options=options)
    stored = meta.get("params")
    if isinstance(stored, dict):
        params = from_json(stored)
        for old, new in estimator._deprecated.items():
            if (value := params.pop(old, None)) is not None:
                params[new] = value
        estimator.set_params(**{k: v for k, v in params.items() if k in known})
    estimator._adopt(fitted, section)
    if not isinstance(estimator, kind):
        raise ConfigError(
            f"{place} holds a {type(estimator).__name__}, and kind is {kind.__name__}. Leave kind "
            "out, or load another folder."
        )
    return estimator


@in_parameters
def load_distribution(path: str | os.PathLike[str]) -> MixtureDistribution:
    """The mixture stored at `path`, or that of a finished run's folder, as a distribution.

    Of any family, also one that has no estimator.

    Raises
    ------
    NotFoundError
        If there is no model.
    CheckpointError
        If it is damaged.
    ConfigError
        If it is no mixture: K-means; or `path` is no path.
    """
    section, fitted, _ = _loaded(as_location(path, _WANTED))
    return make_distribution(section, fitted)


def _loaded(place: Location) -> tuple[ModelSection, Fitted, dict[str, Any]]:
    latest = load_latest(place)
    if latest is None:
        return load_fitted(place)
    section, fitted = latest
    if fitted.status is Status.RUNNING:
        warnings.warn(
            f"The run in {place} has not finished: this is the model after {fitted.iterations} "
            "iterations. Start the run again to finish it.",
            ConvergenceWarning,
            stacklevel=3,
        )
    return section, fitted, {}


def _empty(section: ModelSection, name: Any) -> Estimator:
    fitting = [c for c in plugins("emdist.estimators", "estimator").values() if c._fits(section)]
    # Of several for one model, the one that saved it.
    for cls in sorted(fitting, key=lambda c: c.__name__ != name):
        if cls._fits(section):
            found: Estimator = cls._from_section(section)
            return found
    raise ConfigError(
        f"A model of the family {section.name!r} has no estimator; label data with it by "
        "`emdist label`."
    )
