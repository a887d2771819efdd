"""Convert fitted estimators of emdist to fitted estimators of scikit-learn."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.utils import check_random_state
from sklearn.utils._openmp_helpers import _openmp_effective_n_threads

from emdist.errors import ConfigError

if TYPE_CHECKING:
    import sklearn.cluster

#: Fitted attributes that have the same name and meaning in scikit-learn. Not every model has all.
_SHARED = ("n_iter_", "n_features_in_", "feature_names_in_", "inertia_", "labels_", "converged_",
           "lower_bound_", "lower_bounds_", "weights_", "means_", "covariances_", "precisions_",
           "precisions_cholesky_", "cluster_centers_")  # fmt: skip
_OF_POSTERIORS = ("weight_concentration_", "weight_concentration_prior_", "mean_precision_",
                  "mean_precision_prior_", "mean_prior_", "degrees_of_freedom_",
                  "degrees_of_freedom_prior_", "covariance_prior_")  # fmt: skip


def without_equivalent(estimator: Any, why: str) -> ConfigError:
    """Make the error for a model that scikit-learn does not have."""
    # K-medians has no distribution. A mixture with noise has none over the whole space.
    has = hasattr(estimator, "distribution") and not getattr(estimator, "noise", False)
    return ConfigError(
        f"scikit-learn has no equivalent of this {type(estimator).__name__}: {why}. Use "
        f"{'distribution() or ' if has else ''}the fitted attributes instead."
    )


def kmeans_of(estimator: Any) -> sklearn.cluster.KMeans:
    """Make a fitted ``sklearn.cluster.KMeans`` with the centres of an estimator."""
    # Imported here, as below: `from emdist import KMeans` needs no models of scikit-learn.
    import sklearn.cluster

    settings = _settings(estimator, ("max_iter", "tol", "algorithm"))
    twin = sklearn.cluster.KMeans(**settings, **_start_of(estimator))
    return _centred(twin, estimator)


def minibatch_of(estimator: Any) -> sklearn.cluster.MiniBatchKMeans:
    """Make a fitted ``sklearn.cluster.MiniBatchKMeans``, which can continue by `partial_fit`."""
    import sklearn.cluster

    twin = sklearn.cluster.MiniBatchKMeans(**_start_of(estimator))
    twin._counts = np.zeros(len(estimator.cluster_centers_))
    twin._n_since_last_reassign, twin.n_steps_ = 0, estimator.n_iter_
    twin._batch_size = twin.batch_size
    twin._random_state = check_random_state(twin.random_state)
    return _centred(twin, estimator)


def gaussians_of(estimator: Any, kind: str, covariances: Any = None) -> Any:
    """Make a fitted ``sklearn.mixture.GaussianMixture``.

    Parameters
    ----------
    estimator
        A fitted mixture of Gaussians.
    kind
        Its covariance type, by scikit-learn's name.
    covariances
        Variances (k,), for an estimator without fitted covariances.
    """
    from sklearn.mixture import GaussianMixture

    _check_mixture(estimator)
    own = _settings(estimator, ("tol", "reg_covar", "max_iter", "n_init", "warm_start"))
    init = estimator.init_params
    twin = GaussianMixture(
        len(estimator.weights_),
        covariance_type=kind,
        random_state=estimator.random_state,
        **own,
        **({"init_params": init} if init in ("kmeans", "k-means++", "random") else {}),
    )
    if covariances is not None:
        twin.covariances_ = covariances
        twin.precisions_, twin.precisions_cholesky_ = 1 / covariances, 1 / np.sqrt(covariances)
    return _filled(twin, estimator, _SHARED)


def posteriors_of(estimator: Any, kind: str, process: bool) -> Any:
    """Make a fitted ``sklearn.mixture.BayesianGaussianMixture``."""
    from sklearn.mixture import BayesianGaussianMixture

    _check_mixture(estimator)
    prior = {name: getattr(estimator, f"{name}_") for name in _PRIORS}
    twin = BayesianGaussianMixture(
        n_components=len(estimator.weights_),
        covariance_type=kind,
        random_state=estimator.random_state,
        weight_concentration_prior_type=(
            "dirichlet_process" if process else "dirichlet_distribution"
        ),
        **_settings(estimator, ("tol", "reg_covar", "max_iter", "n_init", "warm_start")),
        **{name: np.array(value) if np.ndim(value) else value for name, value in prior.items()},
    )
    return _filled(twin, estimator, _SHARED + _OF_POSTERIORS)


_PRIORS = ("weight_concentration_prior", "mean_precision_prior", "mean_prior",
           "degrees_of_freedom_prior", "covariance_prior")  # fmt: skip


def _check_mixture(estimator: Any) -> None:
    if hasattr(estimator, "noise_weight_"):
        raise without_equivalent(estimator, "it has uniform noise")
    if estimator.assignment != "soft":
        raise without_equivalent(estimator, f"its assignment is {estimator.assignment!r}")


def _start_of(estimator: Any) -> dict[str, Any]:
    """Return the parameters that choose starting centres, as far as scikit-learn has them."""
    init = estimator.init
    known = not isinstance(init, str) or init in ("k-means++", "random")
    return {
        "n_clusters": len(estimator.cluster_centers_),
        "n_init": estimator.n_init,
        "random_state": estimator.random_state,
        **({"init": init} if known else {}),
    }


def _settings(estimator: Any, names: tuple[str, ...]) -> dict[str, Any]:
    return {name: getattr(estimator, name) for name in names if hasattr(estimator, name)}


def _centred(twin: Any, estimator: Any) -> Any:
    twin._n_threads = _openmp_effective_n_threads()
    twin._n_features_out = len(estimator.cluster_centers_)
    # Labels of stored data are left out if computing them would need a pass.
    return _filled(twin, estimator, [n for n in _SHARED if n in vars(estimator)])


def _filled(twin: Any, estimator: Any, names: Any) -> Any:
    for name in names:
        if hasattr(estimator, name):
            setattr(twin, name, _own(getattr(estimator, name)))
    made = estimator.preparation_
    if made is None:
        return twin
    # The model sees prepared rows, without names.
    vars(twin).pop("feature_names_in_", None)
    twin.n_features_in_ = made.n_features
    from emdist.estimators.sklearn_steps import pipeline_of

    return pipeline_of(made, estimator._fitted.feature_names, twin)


def _own(value: Any) -> Any:
    """Make a copy that can be changed."""
    if isinstance(value, np.ndarray):
        return np.array(value)
    if isinstance(value, list | tuple):
        return type(value)(_own(each) for each in value) if type(value) is tuple else list(value)
    return dict(value) if isinstance(value, Mapping) else value
