"""Makes the stop rule of a fit from the configuration, with the default tolerance of its model."""

from __future__ import annotations

from emdist.composition.model import CENTRES
from emdist.composition.recipe import Recipe
from emdist.fit.stop import Stop
from emdist.fit.survey import Survey
from emdist.interfaces import LARGEST_MOVE
from emdist.settings.config import FitSection, ModelSection

#: Default tolerances of models that are no mixtures, and of mixtures, as in scikit-learn.
_TOL = {"kmeans": 1e-4, "kcentroids": 1e-4, "kmedians": 0.0}
_TOL_MIXTURE = 1e-3


def make_stop(recipe: Recipe, fit: FitSection, survey: Survey, unit: float) -> Stop:
    """Return when a fit of `recipe` ends by the rules of `fit`, with the model's defaults.

    `unit` is the data's mean variance.

    A prior counts once for all rows. Which components a posterior leaves empty depends on a few
    nats of the whole bound, however many rows there are. Its `tol` is therefore for all rows
    together, as in scikit-learn, and not for one row.
    """
    model = recipe.section
    tol = _TOL.get(model.name, _TOL_MIXTURE) if fit.tol is None else fit.tol
    if model.name in CENTRES:
        # Relative to the data, as in scikit-learn. Squares of 1e200 would overflow.
        tol = min(tol * unit, LARGEST_MOVE / 2) if tol > 0 else 0.0
        return Stop("shift", tol, fit.max_iter or 300, exact=True)
    exact = recipe.model.temperature == 0
    left = not _is_scikit_learns(model)
    if recipe.kind == "posterior":
        return Stop("objective", tol / survey.spread.weight, fit.max_iter or 1000, exact, left)
    return Stop("objective", tol, fit.max_iter or 100, exact, left)


def _is_scikit_learns(model: ModelSection) -> bool:
    """Return whether scikit-learn has the same mixture, so that both end at the same iteration."""
    gaussian = model.name.removeprefix("variational_") in ("full", "tied", "diagonal", "spherical")
    maximum = model.weights_name == "free" and not model.options.get("prior")
    plain = maximum or model.name.startswith("variational_")
    known = model.assignment in ("soft", "hard") and model.noise is None
    return gaussian and plain and known
