"""`ProductMixture`: clusters mixed data, in which each group of features has its own family."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import ArrayLike

from emdist import composition, families, fit, models
from emdist.errors import ConfigError
from emdist.estimators.fitted_attributes import Learned
from emdist.estimators.from_parameters import (
    Parameters,
    array,
    names_for,
    unit_spread,
    weights_of,
    with_number,
)
from emdist.estimators.mixture import Criteria
from emdist.estimators.parameters import parameters
from emdist.estimators.settings import as_floats
from emdist.inputs.arrays import plain
from emdist.inputs.quoting import shown
from emdist.interfaces import Array, Floats
from emdist.parameters.choices import MixtureInit

if TYPE_CHECKING:
    from emdist.fit.fitted import Fitted
    from emdist.fit.start import Given
    from emdist.settings.config import FitSection, ModelSection


@parameters()
class ProductMixture(Criteria):
    """Mixture for mixed data by EM: exact, for data of any size (Hunt and Jorgensen 1999).

    Given the component, groups of features are independent, and each has its own family.

    Parameters
    ----------
    n_components : int, default=1
        Number of mixture components. Compare several with `Sweep`.
    groups : list of dict or None, default=None
        One dict for each group of features: 'columns' (indices, or a range such as '3:40'),
        'family' (a name of the configuration) and, if wanted, 'options' of the family. Each feature
        is in one group or in `ignored`. None is one group of diagonal Gaussians.
    ignored : sequence of int or str, default=()
        Indices of features that the model leaves out.
    init_params : {'standardised', 'kmeans', 'k-means++', 'k-means||', 'random_from_data', 'random',
        'cleaned'}, default='standardised'
        How the starting values are chosen, on a sample of the rows. 'standardised' divides every
        feature by its standard deviation and runs K-means; the others use the units of the data.
    means_init : array-like of shape (n_components, n_features) or None, default=None
        Starting means.
    weights_init : array-like of shape (n_components,) or None, default=None
        Starting weights. Parameters that are not given are estimated from the rows nearest to the
        means.
    uniform_weights : bool, default=False
        Keep all mixture weights at 1 / n_components.
    tol : float, default=0.001
        Stop when the lower bound per row improves by less than this in an iteration (in nats).
        Lower it for more exact parameters, at the cost of more iterations.
    max_iter : int, default=100
        Maximum number of iterations of one restart. Raise it if a ConvergenceWarning says that the
        fit has not converged.
    n_init : int, default=1
        Number of restarts. The one with the best objective is kept. All restarts share their reads
        of the data. Raise it (to 10, say) if restarts end at different objectives.
    warm_start : bool, default=False
        Start from the parameters of the previous fit of this estimator.
    on_collapse : {'regularise', 'reseed', 'drop', 'raise'}, default='regularise'
        What to do with a component that loses its rows, or becomes too narrow to have a density.

        - 'regularise': Keep it, with the parameters that the M-step gives it. Variances of
          Gaussians contain reg_covar; if it is too small for a density, the fit stops with an
          error.
        - 'reseed': Move it to the row that the model explains worst.
        - 'drop': Remove it, and go on with fewer components.
        - 'raise': Stop with an error.

    assignment : {'soft', 'hard', 'tempered', 'stochastic'}, default='soft'
        How each row is shared among the components. Models of centres always use hard assignment.
        The default suits most data; docs/models.md describes the others.

        - 'soft': Each component gets its responsibility for the row. This is ordinary EM.
        - 'hard': The most probable component gets the whole row. This is classification EM.
        - 'tempered': The shares are nearly equal at first and approach those of EM. This is
          deterministic annealing; its result depends less on the starting values.
        - 'stochastic': In the first iterations, a random component gets the whole row, drawn with
          the responsibilities as probabilities. Ordinary EM follows.

    assignment_options : dict or None, default=None
        Options of the assignment, such as {'start': 2.0} for 'tempered'; docs/models.md lists them.
    schedule : {'batch', 'squarem', 'incremental', 'sparse', 'stepwise', 'minibatch'},
        default='batch'
        How EM iterates over the data. The default suits most data; docs/schedules.md compares them.

        - 'batch': One M-step after each pass over all rows.
        - 'squarem': Extrapolates from the last EM steps, for fits that need many iterations. Needs
          soft assignment.
        - 'incremental': An M-step after each group of blocks.
        - 'sparse': Skips components that do not matter for a row. Needs soft assignment.
        - 'stepwise': Online EM in the first passes, then batch.
        - 'minibatch': Online passes over mini-batches, then batch. Needs K-means or hard
          assignment.

    schedule_options : dict or None, default=None
        Options of the schedule, such as {'groups': 8} for 'incremental'; docs/schedules.md lists
        them.
    precision : {'auto', 'float32', 'float64'}, default='auto'
        Floating-point type of the arithmetic within a block. Sums over rows are always float64.

        - 'auto': The type of the data where that is accurate enough.
        - 'float32': Faster, accurate to about six digits.
        - 'float64'

    random_state : int, RandomState instance or None, default=None
        Random seed. The same integer gives bit-identical results with any number of threads or
        workers; None draws a new seed. Pass an integer for results that can be repeated.
    verbose : int, default=0
        Print one line per iteration if it is not 0.
    engine : distributed.Client or None, default=None
        Where blocks are computed: on the workers of a Dask client, or on threads of this process
        (None). Results do not depend on it.
    block_size : str or None, default=None
        Size of a block of rows in memory, such as '64 MiB'. Each thread or worker processes one
        block at a time. Make it smaller if memory is short. Results for another block size agree to
        about ten digits; they are not bit-identical.
    missing_chunks : {'raise', 'drop', 'fill'}, default='raise'
        What to do with chunks of a Zarr array that were never written.

        - 'raise': Stop with an error.
        - 'drop': Leave out their rows.
        - 'fill': Use the fill value of the array.

    corrupt_chunks : {'raise', 'drop'}, default='raise'
        What to do with chunks of a Zarr array that cannot be decoded.

        - 'raise': Stop with an error.
        - 'drop': Leave out their rows.

    non_finite : {'raise', 'drop', 'missing'}, default='raise'
        What to do with rows that contain NaN or infinity.

        - 'raise': Stop with an error.
        - 'drop': Leave out these rows.
        - 'missing': Treat NaN as missing at random and fit what is observed; infinity is an error.

    decode : {'cf', 'none'}, default='cf'
        How stored numbers of a Zarr array become values.

        - 'cf': Apply the attributes scale_factor, add_offset, _FillValue, missing_value and
          _Unsigned, as xarray does. Fill values become NaN, which non_finite decides about.
        - 'none': Use the stored numbers as they are.

    prepare : list or None, default=None
        Steps that prepare rows before they are clustered: names such as 'standardise', dicts such
        as {'pca': 8}, or transformers of `emdist.prepare`. Fitted attributes such as means are
        those of prepared rows; ``preparation_.inverse`` moves them back. Use it for features of
        different units; docs/prepare.md lists the steps.
    cache : str, default='auto'
        Memory in which a process keeps decoded blocks between passes: 'auto', 'off', or a size such
        as '4 GiB'. 'auto' takes half of the memory that is free, and gives it back when memory gets
        short. Results do not depend on it. Use 'off' to hold no more than the blocks at work.

    Attributes
    ----------
    weights_ : ndarray of shape (n_components,)
        Mixture weights.
    means_ : ndarray of shape (n_components, n_features)
        Where the components lie: means, and expected codes of categories.
    parts_ : list of dict
        For each group, the arrays of its family by name, such as 'means', 'variances' or
        'probabilities'.
    converged_ : bool
        Whether the best restart has converged.
    n_iter_ : int
        Number of iterations of the best restart.
    lower_bound_ : float
        Lower bound of the best restart per unit of sample weight, in nats: the log-likelihood, plus
        the log-prior where there is a prior or `smoothing`.
    lower_bounds_ : list of float
        Lower bound after each iteration.
    n_features_in_ : int
        Number of features seen by `fit`.
    history_ : tuple of Record
        One `emdist.fit.state.Record` for each iteration of the best restart.

    Examples
    --------
    >>> from emdist import ProductMixture
    >>> X = [[0.0, 1], [0.2, 1], [0.1, 1], [9.0, 0], [9.2, 0], [9.1, 0]]
    >>> groups = [
    ...     {"columns": [0], "family": "diagonal"},
    ...     {"columns": [1], "family": "bernoulli"},
    ... ]
    >>> fitted = ProductMixture(2, groups=groups, random_state=0).fit(X)
    >>> sorted(fitted.means_[:, 0].round(1).tolist())
    [0.1, 9.1]
    """

    means_ = Learned[Floats]()
    parts_ = Learned[list[dict[str, Array]]]()

    _: KW_ONLY
    groups: Sequence[Mapping[str, Any]] | None = None
    ignored: Sequence[int] | str = ()
    init_params: MixtureInit = "standardised"
    means_init: ArrayLike | None = None

    @classmethod
    def _fits(cls, section: ModelSection) -> bool:
        # The estimator has no parameter for noise. Only a configuration can combine both.
        return section.name == "product" and section.noise is None

    @classmethod
    def _from_section(cls, section: ModelSection) -> Self:
        """Make an unfitted estimator whose parameters describe the model of `section`."""
        return cls(
            section.n_components,
            groups=section.options["groups"],
            ignored=section.options.get("ignored", ()),
            precision=section.precision,
            uniform_weights=section.weights_name == "uniform",
        )

    def _sections(self, n_features: int) -> tuple[ModelSection, FitSection, Given]:
        groups, ignored = self.groups, self._left_out()
        if groups is None:
            out = set(
                families.products.groups.indices_of(ignored, "ignored")
                if isinstance(ignored, str)
                else ignored
            )
            rest = [j for j in range(n_features) if j not in out]
            groups = [{"columns": rest, "family": "diagonal"}]
        elif isinstance(groups, str | bytes | Mapping) or not isinstance(
            plain(groups, "groups"), list
        ):
            raise ConfigError(
                f"groups={shown(groups)}; expected a list with one dict for each group, such as "
                "[{'columns': '0:3', 'family': 'diagonal'}], or None."
            )
        options = {"groups": groups, "ignored": ignored}
        model = self._model_section("product", options, self.uniform_weights)
        composition.model.make_family(
            model
        )  # Checks the groups before starting values, whose shape they decide.
        return model, self._fit_section(), self._start(model, n_features)

    def _left_out(self) -> list[Any] | str:
        """Return `ignored` as a list or a valid range; ConfigError if it is neither."""
        given = plain(self.ignored, "ignored")
        if given is None:
            return []
        if isinstance(given, str):
            families.products.groups.indices_of(given, "ignored")
            return given
        if not isinstance(given, list) or any(isinstance(one, list | Mapping) for one in given):
            raise ConfigError(
                f"ignored={shown(given)}; expected a list of indices, or a range as '3:40'."
            )
        return given

    def _start(self, model: ModelSection, d: int) -> Given:
        if self._is_warm(model, d):
            fitted = self._fitted
            moved = composition.model.make_family(self._section).translate(
                fitted.params.components, fitted.spread.origin
            )
            return fit.start.Given(None, fitted.params.weights, models.arrays.arrays_of(moved))
        k = model.n_components
        weights, means = self.weights_init, self.means_init
        return fit.start.Given(
            None if means is None else as_floats(means, "means_init", (k, d)),
            None if weights is None else as_floats(weights, "weights_init", (k,)),
        )

    def _attributes(self, fitted: Fitted, section: ModelSection) -> dict[str, Any]:
        family, origin = composition.model.make_family(section), fitted.spread.origin
        moved = family.translate(fitted.params.components, origin)
        return {
            **super()._attributes(fitted, section),
            "means_": family.locations(moved),
            "parts_": [models.arrays.arrays_of(part) for part in moved.parts],
        }

    @classmethod
    def from_parameters(
        cls,
        *,
        weights: Any,
        parts: Sequence[Mapping[str, Any]],
        feature_names: Sequence[str] | None = None,
        **params: Any,
    ) -> Self:
        """Make a fitted estimator from known parameters, without data.

        It can predict, score, draw, save and label as if it had been fitted.

        Parameters
        ----------
        weights : array-like of shape (n_components,)
            Mixture weights >= 0 that sum to 1.
        parts : sequence of dict
            One dict for each group, as in `parts_`: the arrays of the group's family, by name.
        feature_names : sequence of str or None, default=None
            Names of the features, if they have any.
        **params
            Parameters of the constructor. Give the `groups`, and `ignored` if there are such
            features. `n_components` follows from the weights.

        Returns
        -------
        estimator : ProductMixture
            A fitted estimator with these parameters.

        Raises
        ------
        ConfigError
            If such a mixture cannot have these parameters.
        """
        own = weights_of(weights, len(array(weights, "weights", ("n_components",))), params)
        params = with_number(params, "n_components", len(own))
        if params.get("groups") is None:
            raise ConfigError("groups is missing; expected one mapping for each part.")
        family: Any = composition.model.make_family(cls(**params)._sections(0)[0])
        arrays = {
            f"parts.{i}.{name}": array(value, f"parts[{i}][{name!r}]", np.shape(value))
            for i, part in enumerate(parts)
            for name, value in part.items()
        }
        d = family.n_features
        template = models.arrays.arrays_of(family.start(np.zeros((len(own), d)), unit_spread(d)))
        if missing := sorted(template.keys() ^ arrays.keys()):
            raise ConfigError(
                f"parts and groups do not match in {', '.join(missing[:6])}; expected "
                f"{', '.join(template)}."
            )
        return cls._made(
            Parameters(np.zeros((len(own), d)), arrays, own, names_for(feature_names, None, d)),
            **params,
        )


estimator = ProductMixture
