"""`align`: puts the components of a fitted model in the order of a reference."""

from __future__ import annotations

import os
from copy import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted

from emdist import composition, fit
from emdist.errors import ConfigError
from emdist.estimators.base import Estimator
from emdist.estimators.best_model import BestModel
from emdist.estimators.loading import load
from emdist.estimators.wording import in_parameters
from emdist.inputs.quoting import shown
from emdist.interfaces import Floats

if TYPE_CHECKING:
    from emdist.fit.aligning import Matching


@dataclass(frozen=True, eq=False)
class Alignment:
    """A model in the order of a reference, and which component went where.

    Attributes
    ----------
    model : Estimator
        The model in the new order, a copy. Where a component of the reference has no counterpart,
        those behind it move up. Components that the reference does not have come last.
    order : ndarray of shape (n_components,)
        The number that each component had before.
    matches : ndarray of shape (n_components,)
        The component of the reference that each component is, or -1 for a new one. It is 0, 1, 2,
        ... unless some are gone or new.
    moved : ndarray of shape (n_components,)
        How far each component is from that of the reference, in standard deviations of the data
        (the root of the mean square over features); NaN for a new component.
    new : tuple of int
        The components, by their new number, that the reference does not have.
    gone : tuple of int
        The components of the reference that the model does not have.
    """

    model: Any
    order: NDArray[np.int64]
    matches: NDArray[np.int64]
    moved: Floats
    new: tuple[int, ...]
    gone: tuple[int, ...]

    def relabel(self, labels: Any) -> Any:
        """Return labels of the model before it was aligned as labels of the model in the new order.

        Parameters
        ----------
        labels : array-like of int, or xarray.DataArray
            Labels that the model gave before. Negative ones, of noise and of rows that were left
            out, stay.

        Returns
        -------
        labels : ndarray or xarray.DataArray
            The new labels.
        """
        found = np.asarray(labels)
        number = np.empty(len(self.order), np.int64)
        number[self.order] = np.arange(len(self.order))
        if found.size and found.max() >= len(number):
            raise ConfigError(
                f"labels contain {found.max()}, but the model has the components "
                f"0..{len(number) - 1}. Pass labels that this model gave before it was aligned."
            )
        new = np.where(found < 0, found, number[found]).astype(found.dtype)
        return labels.copy(data=new) if hasattr(labels, "dims") else new


@in_parameters
def align(model: Any, reference: Any) -> Alignment:
    """Put the components of a model in the order of a reference, so that labels mean the same.

    Components are matched by their locations and mixture weights, so that the sum of ``D^2 +
    (sqrt(w) - sqrt(v))^2`` over all matches is as small as possible. D is the distance of two
    locations: the root of the mean square over features, each in units of its standard deviation in
    the data of both models. w and v are the mixture weights; models of centres have none, and
    are matched by D alone. If the best matches are several, the one that moves fewest components
    is taken. The two may be of different families and have different numbers of components.

    Parameters
    ----------
    model : estimator, str or path-like
        A fitted estimator or sweep, or the folder or URL of a saved model or of a run. It does not
        change. A stream of `partial_fit` starts anew from the aligned model.
    reference : estimator, str or path-like
        The model whose order counts, likewise. It needs the same features.

    Returns
    -------
    Alignment
        The aligned model as its attribute ``model``, and which component went where.

    Raises
    ------
    NotFoundError, CheckpointError
        If there is no model at a path, or it is damaged.
    ShapeError, FeatureNamesError
        If the models have different features.
    ConfigError
        If one of the two is no model, or if they prepare rows by different steps that cannot be
        undone.

    Examples
    --------
    >>> from emdist import KMeans, align
    >>> before = KMeans.from_parameters(cluster_centers=[[0.0], [5.0]])
    >>> now = KMeans.from_parameters(cluster_centers=[[5.5], [0.5]])
    >>> align(now, before).model.cluster_centers_.tolist()
    [[0.5], [5.5]]
    """
    one, other = _fitted(model, "model"), _fitted(reference, "reference")
    found = fit.aligning.matched(
        composition.model.make_model(one._section),
        one._fitted,
        composition.model.make_model(other._section),
        other._fitted,
    )
    return _aligned(one, found)


def _aligned(estimator: Estimator, found: Matching) -> Alignment:
    new = copy(estimator)
    labels = estimator.__dict__.get("labels_")
    new._adopt(
        fit.aligning.in_order(
            composition.model.make_model(estimator._section), estimator._fitted, found
        ),
        estimator._section,
    )
    new._stream = None
    result = Alignment(new, found.order, found.matches, found.moved, found.new, found.gone)
    if labels is not None:
        new._learn(labels_=result.relabel(labels))
    return result


def _fitted(given: Any, name: str) -> Estimator:
    """Return what the user gave as a fitted estimator."""
    if isinstance(given, str | os.PathLike):
        return load(given)
    found = given._best() if isinstance(given, BestModel) else given
    if not isinstance(found, Estimator):
        raise ConfigError(
            f"{name} is {shown(given)}; expected a fitted estimator of emdist, or the folder of a "
            "saved model or of a run."
        )
    check_is_fitted(found)
    return found
