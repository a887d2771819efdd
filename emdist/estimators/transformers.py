"""Transformers with scikit-learn's names, for data of any size: scaling, PCA, norms, logarithms."""

from __future__ import annotations

from dataclasses import KW_ONLY
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np

from emdist import inputs, prepare
from emdist.errors import ConfigError
from emdist.estimators.parameters import parameters
from emdist.estimators.transforming import Transforming
from emdist.inputs.quoting import shown
from emdist.interfaces import Array

if TYPE_CHECKING:
    from emdist.prepare.base import PrepareStep
    from emdist.prepare.preparation import Preparation

#: scikit-learn's names of the solvers of PCA, and the step's.
_SOLVERS = {
    "auto": "auto",
    "full": "exact",
    "covariance_eigh": "exact",
    "randomized": "randomised",
}


@parameters()
class StandardScaler(Transforming):
    """Scale features to mean 0 and variance 1, as `sklearn.preprocessing.StandardScaler`.

    The data may be larger than memory. NaN is left out of means and variances, and stays NaN.

    Parameters
    ----------
    copy : bool, default=True
        Accepted for compatibility with scikit-learn; X is never changed.
    with_mean : bool, default=True
        Whether to subtract the mean of each feature.
    with_std : bool, default=True
        Whether to divide by the standard deviation of each feature. Features with the same value in
        all rows are not divided, and a warning names them.
    engine : distributed.Client or None, default=None
        Where blocks are computed: on the workers of a Dask client, or on threads of this process.
    block_size : str or None, default=None
        Size of a block of rows in memory, such as '64 MiB'.
    missing_chunks : {'raise', 'drop', 'fill'}, default='raise'
        What to do with chunks of a Zarr array that were never written.
    corrupt_chunks : {'raise', 'drop'}, default='raise'
        What to do with chunks of a Zarr array that cannot be decoded.
    non_finite : {'raise', 'drop', 'missing'}, default='raise'
        What to do with rows that contain NaN or infinity. Here, NaN is never an error.
    decode : {'cf', 'none'}, default='cf'
        How stored numbers of a Zarr array become values.

    Attributes
    ----------
    mean_ : ndarray of shape (n_features,) or None
        Means of the features.
    var_ : ndarray of shape (n_features,) or None
        Variances of the features.
    scale_ : ndarray of shape (n_features,) or None
        What the features are divided by.
    n_samples_seen_ : int, float or ndarray of shape (n_features,)
        Number of rows, or their weight; one for each feature if values are missing.
    n_features_in_ : int
        Number of features.

    Examples
    --------
    >>> from emdist.prepare import StandardScaler
    >>> StandardScaler().fit_transform([[0.0, 10.0], [2.0, 30.0]])
    array([[-1., -1.],
           [ 1.,  1.]])
    """

    _accepts_missing: ClassVar[bool] = True

    _: KW_ONLY
    copy: bool = True
    with_mean: bool = True
    with_std: bool = True

    def _prepare_step(self) -> PrepareStep:
        for name in ("copy", "with_mean", "with_std"):
            inputs.validation.switch(getattr(self, name), name)
        options = {"with_mean": bool(self.with_mean), "with_std": bool(self.with_std)}
        return prepare.making.make_steps([{"standardise": options}])[0]

    def _adopt(self, preparation: Preparation) -> None:
        learned = preparation.learned[0]
        some = self.with_mean or self.with_std
        self.mean_ = learned["mean"].copy() if some else None
        self.var_ = learned["variance"].copy() if self.with_std else None
        self.scale_ = learned["scale"].copy() if self.with_std else None
        self.n_samples_seen_ = _seen(learned["cells"])


@parameters()
class PCA(Transforming):
    """Project rows on their principal components, as `sklearn.decomposition.PCA`.

    The data may be larger than memory. The covariance is computed in one pass; for more than 5,000
    features, a randomised range finder takes several passes.

    Parameters
    ----------
    n_components : int, float or None, default=None
        Number of components that are kept, or the share of the variance that they explain, between
        0 and 1. None keeps all.
    copy : bool, default=True
        Accepted for compatibility with scikit-learn; X is never changed.
    whiten : bool, default=False
        Whether scores are divided by their standard deviations.
    svd_solver : {'auto', 'full', 'covariance_eigh', 'randomized'}, default='auto'
        'full' and 'covariance_eigh' are the same here: the exact components of the covariance.
        'auto' is exact for up to 5,000 features.
    tol : float, default=0.0
        Accepted for compatibility with scikit-learn; it has no effect.
    iterated_power : int or 'auto', default='auto'
        Number of passes of the randomised solver; 'auto' is 4.
    n_oversamples : int, default=10
        Number of directions that the randomised solver follows besides `n_components`.
    power_iteration_normalizer : str, default='auto'
        Accepted for compatibility with scikit-learn; it has no effect.
    random_state : int or None, default=None
        Seed of the randomised solver; None is 0.
    missing : {'raise', 'pairwise'}, default='raise'
        What to do with missing values. 'pairwise' computes each covariance from the rows that have
        both features, and takes scores of incomplete rows with the expected values of what is
        missing, given what is observed. It needs ``non_finite='missing'``.
    engine : distributed.Client or None, default=None
        Where blocks are computed: on the workers of a Dask client, or on threads of this process.
    block_size : str or None, default=None
        Size of a block of rows in memory, such as '64 MiB'.
    missing_chunks : {'raise', 'drop', 'fill'}, default='raise'
        What to do with chunks of a Zarr array that were never written.
    corrupt_chunks : {'raise', 'drop'}, default='raise'
        What to do with chunks of a Zarr array that cannot be decoded.
    non_finite : {'raise', 'drop', 'missing'}, default='raise'
        What to do with rows that contain NaN or infinity.
    decode : {'cf', 'none'}, default='cf'
        How stored numbers of a Zarr array become values.

    Attributes
    ----------
    components_ : ndarray of shape (n_components, n_features)
        Principal axes, by decreasing variance.
    explained_variance_ : ndarray of shape (n_components,)
        Variance of the scores of each component.
    explained_variance_ratio_ : ndarray of shape (n_components,)
        Share of the variance that each component explains.
    singular_values_ : ndarray of shape (n_components,)
        Singular values of the centred rows.
    mean_ : ndarray of shape (n_features,)
        Means of the features.
    n_components_ : int
        Number of components.
    n_samples_ : int or float
        Number of rows, or their weight.
    noise_variance_ : float
        Mean variance of the components that are left out.
    error_ : ndarray of shape (n_components,) or None
        Of the randomised solver: bounds of the errors of `explained_variance_`.
    notes_ : tuple of str
        What there is to know of how they were computed: number of passes, and error.
    n_features_in_ : int
        Number of features.

    Examples
    --------
    >>> from emdist.prepare import PCA
    >>> PCA(1).fit([[0.0, 0.0], [1.0, 2.0], [2.0, 4.0]]).explained_variance_ratio_
    array([1.])
    """

    n_components: int | float | None = None
    _: KW_ONLY
    copy: bool = True
    whiten: bool = False
    svd_solver: str = "auto"
    tol: float = 0.0
    iterated_power: int | Literal["auto"] = "auto"
    n_oversamples: int = 10
    power_iteration_normalizer: str = "auto"
    random_state: int | None = None
    missing: Literal["raise", "pairwise"] = "raise"

    def _prepare_step(self) -> PrepareStep:
        for name in ("copy", "whiten"):
            inputs.validation.switch(getattr(self, name), name)
        if self.svd_solver not in _SOLVERS:
            raise ConfigError(
                f"svd_solver={shown(self.svd_solver)}; expected one of {', '.join(_SOLVERS)}."
            )
        if isinstance(self.n_components, bool | str):
            raise ConfigError(
                f"n_components={shown(self.n_components)}; expected a number of components, a "
                "share of the variance between 0 and 1, or None."
            )
        wanted: Any = self.n_components
        options: dict[str, Any] = {
            "components": wanted.item() if isinstance(wanted, np.generic) else wanted,
            "whiten": bool(self.whiten),
            "solver": _SOLVERS[self.svd_solver],
            "oversampling": inputs.validation.whole_number(self.n_oversamples, "n_oversamples", 0),
            "seed": 0 if self.random_state is None else self._seed(),
            "missing": self.missing,
        }
        if self.iterated_power != "auto":
            options["passes"] = inputs.validation.whole_number(
                self.iterated_power, "iterated_power", 1
            )
        return prepare.making.make_steps([{"pca": options}])[0]

    def _adopt(self, preparation: Preparation) -> None:
        learned = preparation.learned[0]
        weight = float(learned["weight"])
        self.components_ = learned["components"].copy()
        self.explained_variance_ = learned["variance"].copy()
        self.explained_variance_ratio_ = learned["ratio"].copy()
        self.singular_values_ = np.sqrt(learned["variance"] * (weight - 1))
        self.mean_ = learned["mean"].copy()
        self.n_components_ = len(self.components_)
        self.n_samples_ = int(weight) if weight.is_integer() else weight
        self.noise_variance_ = float(learned["noise"])
        self.error_ = learned["error"].copy() if "error" in learned else None
        self.notes_ = preparation.notes

    @property
    def _n_features_out(self) -> int:
        return self.n_components_


@parameters()
class Normalizer(Transforming):
    """Scale each row to norm 1, as `sklearn.preprocessing.Normalizer`, or to a sum.

    The data may be larger than memory.

    Parameters
    ----------
    norm : {'l1', 'l2', 'max'}, default='l2'
        Norm of the rows. Rows of zeros stay as they are.
    copy : bool, default=True
        Accepted for compatibility with scikit-learn; X is never changed.
    total : float or None, default=None
        The sum that each row gets, in place of a norm. Values must be >= 0.
    engine : distributed.Client or None, default=None
        Where blocks are computed: on the workers of a Dask client, or on threads of this process.
    block_size : str or None, default=None
        Size of a block of rows in memory, such as '64 MiB'.
    missing_chunks : {'raise', 'drop', 'fill'}, default='raise'
        What to do with chunks of a Zarr array that were never written.
    corrupt_chunks : {'raise', 'drop'}, default='raise'
        What to do with chunks of a Zarr array that cannot be decoded.
    non_finite : {'raise', 'drop', 'missing'}, default='raise'
        What to do with rows that contain NaN or infinity.
    decode : {'cf', 'none'}, default='cf'
        How stored numbers of a Zarr array become values.

    Attributes
    ----------
    n_features_in_ : int
        Number of features.

    Examples
    --------
    >>> from emdist.prepare import Normalizer
    >>> Normalizer(norm="l1").fit_transform([[1.0, 3.0]])
    array([[0.25, 0.75]])
    """

    norm: Literal["l1", "l2", "max"] = "l2"
    _: KW_ONLY
    copy: bool = True
    total: float | None = None

    def _prepare_step(self) -> PrepareStep:
        inputs.validation.switch(self.copy, "copy")
        return prepare.making.make_steps([{"normalise": {"norm": self.norm, "total": self.total}}])[
            0
        ]


@parameters()
class Log1p(Transforming):
    """Replace x by log(1 + x), as ``FunctionTransformer(numpy.log1p, inverse_func=numpy.expm1)``.

    The data may be larger than memory. Values must be above -1. NaN stays NaN.

    Parameters
    ----------
    engine : distributed.Client or None, default=None
        Where blocks are computed: on the workers of a Dask client, or on threads of this process.
    block_size : str or None, default=None
        Size of a block of rows in memory, such as '64 MiB'.
    missing_chunks : {'raise', 'drop', 'fill'}, default='raise'
        What to do with chunks of a Zarr array that were never written.
    corrupt_chunks : {'raise', 'drop'}, default='raise'
        What to do with chunks of a Zarr array that cannot be decoded.
    non_finite : {'raise', 'drop', 'missing'}, default='raise'
        What to do with rows that contain NaN or infinity. Here, NaN is never an error.
    decode : {'cf', 'none'}, default='cf'
        How stored numbers of a Zarr array become values.

    Attributes
    ----------
    n_features_in_ : int
        Number of features.

    Examples
    --------
    >>> from emdist.prepare import Log1p
    >>> Log1p().fit_transform([[0.0]])
    array([[0.]])
    """

    _accepts_missing: ClassVar[bool] = True

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.positive_only = True
        return tags

    def _prepare_step(self) -> PrepareStep:
        return prepare.making.make_steps(["log1p"])[0]


def _seen(cells: Array) -> Any:
    """Return the number of rows as scikit-learn does: one, or one for each feature."""
    whole = bool((cells == np.rint(cells)).all())
    found = cells.astype(np.int64) if whole else cells
    return found[0].item() if (found == found[0]).all() else found.copy()
