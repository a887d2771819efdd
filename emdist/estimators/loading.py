"""Load fitted estimators and distributions from the folder of a saved model or of a run."""

from __future__ import annotations

import os
import warnings
from typing import TYPE_CHECKING, Any, TypeVar, overload

from sklearn.exceptions import ConvergenceWarning

from emdist import estimators, fit, jobs, store
from emdist.errors import ConfigError
from emdist.estimators.base import Estimator
from emdist.estimators.inputs import as_location
from emdist.estimators.parameters_json import from_json
from emdist.estimators.wording import in_parameters
from emdist.inputs.plugins import plugins
from emdist.inputs.quoting import shown

if TYPE_CHECKING:
    from emdist.fit.fitted import Fitted
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

    If the run has not finished, the model is that of its last checkpoint. emdist then warns, and
    ``converged_`` is False. The estimator can predict. With ``warm_start=True`` its `fit` starts
    from the loaded parameters.

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
        The fitted estimator, of the class `kind`.

    Raises
    ------
    NotFoundError
        If there is no model at `path`.
    CheckpointError
        If the model is damaged.
    ConfigError
        If `path` is not a path, or the model is of another kind.
    """
    if not isinstance(kind, type):
        raise ConfigError(
            f"kind={shown(kind)}; expected a class of emdist, such as emdist.GaussianMixture. "
            "Leave kind out to load any model."
        )
    place = store.runs.publications.published(as_location(path, _WANTED), "model")
    section, fitted, meta = _loaded(place)
    estimator = _empty(section, meta.get("estimator"))
    known = estimator.get_params()
    read = jobs.records.reading_of(place, section, meta)
    reading = read.reading()
    reading[estimator._decoding] = reading.pop("decode")
    estimator.set_params(**{name: value for name, value in reading.items() if name in known})
    estimator._layout = read.layout
    options = section.assignment_options or None
    assigned = {"assignment": section.assignment, "assignment_options": options}
    estimator.set_params(**{name: value for name, value in assigned.items() if name in known})
    stored = meta.get("params")
    if isinstance(stored, dict):
        params = from_json(stored)
        for old, new in estimator._deprecated.items():
            if (value := params.pop(old, None)) is not None:
                params[new] = value
        estimator.set_params(**{k: v for k, v in params.items() if k in known})
    if fitted.preparation is not None:
        estimator.set_params(prepare=fitted.preparation.config())
    estimator._adopt(fitted, section)
    estimator._labels_place = estimator._run = place
    if not isinstance(estimator, kind):
        raise ConfigError(
            f"{place} holds a {type(estimator).__name__}, but kind is {kind.__name__}. Leave "
            "kind out, or load another folder."
        )
    return estimator


@in_parameters
def load_distribution(path: str | os.PathLike[str], prepared: bool = False) -> MixtureDistribution:
    """Load the mixture of a saved model or of a run, as a distribution.

    This works for every family, also for those without an estimator. If the run has not finished,
    the model is that of its last checkpoint, and emdist warns.

    Parameters
    ----------
    path : str or path-like
        Folder or URL that `save` has written, or the folder of a run.
    prepared : bool, default=False
        Whether to return the distribution of prepared rows if the model prepares rows, as for the
        method `distribution` of an estimator.

    Returns
    -------
    MixtureDistribution
        The mixture, in the units of the data.

    Raises
    ------
    NotFoundError
        If there is no model at `path`.
    CheckpointError
        If the model is damaged.
    ConfigError
        If the model is not a mixture, such as K-means, if it prepares rows and `prepared` is False,
        or if `path` is not a path.
    """
    place = store.runs.publications.published(as_location(path, _WANTED), "model")
    section, fitted, meta = _loaded(place)
    return estimators.distribution.fitted_distribution(
        section, fitted, jobs.records.reading_of(place, section, meta), prepared
    )


def _loaded(place: Location) -> tuple[ModelSection, Fitted, dict[str, Any]]:
    latest = jobs.records.load_latest(place)
    if latest is None:
        return jobs.records.load_fitted(place)
    section, fitted = latest
    if fitted.status is fit.state.Status.RUNNING:
        warnings.warn(
            f"The run in {place} has not finished: this is its model after {fitted.iterations} "
            "iterations. Start the run again to finish it.",
            ConvergenceWarning,
            stacklevel=3,
        )
    return section, fitted, {}


def _empty(section: ModelSection, name: Any) -> Estimator:
    fitting = [c for c in plugins("emdist.estimators", "estimator").values() if c._fits(section)]
    # If several classes represent this model, choose the one that saved it.
    fitting = [c for c in fitting if c.sequential == (section.chain is not None)]
    for cls in sorted(fitting, key=lambda c: c.__name__ != name):
        if cls._fits(section):
            found: Estimator = cls._from_section(section)
            return found
    raise ConfigError(
        f"There is no estimator for a model of the family {section.name!r}. Label data with "
        "`emdist label` instead."
    )
