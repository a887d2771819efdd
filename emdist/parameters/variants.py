"""Parameters that mean something of their own in one estimator."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from emdist.parameters.chains import VARIANTS_OF_CHAINS
from emdist.parameters.entry import Parameter
from emdist.parameters.estimators import ESTIMATORS
from emdist.parameters.fitting import FITTING
from emdist.parameters.reading import READING

_CENTRES_COLLAPSE = Parameter(
    "",
    "What to do with a centre that loses its rows.",
    choices={
        "reseed": "Move it to the row that is farthest from its centre.",
        "drop": "Remove it, and go on with fewer clusters.",
        "regularise": "Leave it where it is.",
        "raise": "Stop with an error.",
    },
)
_CENTRES_TOL = Parameter(
    "float",
    "Stop when the summed squared movement of the centres, relative to the mean variance of the "
    "features, falls below this.",
    "Set it to 0 to iterate until no row changes its cluster.",
)
_N_INIT = Parameter(
    "int or 'auto'",
    "Number of restarts; the one with the lowest inertia is kept. 'auto' is 10 for init='random' "
    "and 1 otherwise.",
    "Raise it if restarts end at different inertias.",
)
_PRIOR = "Any prior makes means and covariances the most probable ones (MAP)."

_SCHEDULES = FITTING["schedule"]


def _schedules(*names: str) -> Parameter:
    """The schedules that a kind of model can have."""
    return replace(_SCHEDULES, choices={name: _SCHEDULES.choices[name] for name in names})


#: Where an estimator's parameter means something of its own, by class and name.
VARIANTS: Mapping[tuple[str, str], Parameter] = {
    **{
        (name, key): value
        for name in ("KMeans", "MiniBatchKMeans", "KMedians", "KCentroids")
        for key, value in (
            ("on_collapse", _CENTRES_COLLAPSE),
            ("tol", _CENTRES_TOL),
            ("n_init", _N_INIT),
        )
    },
    ("KMedians", "tol"): Parameter(
        "float",
        "Stop when the summed squared distance by which the medians may still be off is at most "
        "this times the mean variance of the features. 0 gives exact medians.",
        "Raise it to stop sooner.",
    ),
    ("KCentroids", "tol"): Parameter(
        "float",
        "Stop when the summed squared movement of the centres falls below this, relative to the "
        "mean variance of the features. For 'cosine' this is the variance of the directions of "
        "rows, for 'kullback_leibler' that of their proportions.",
    ),
    ("KMedians", "max_iter"): Parameter(
        "int",
        "Maximum number of passes of one restart: those that move centres, and those that close in "
        "on the exact medians.",
    ),
    ("MiniBatchKMeans", "max_iter"): Parameter(
        "int", "Maximum number of iterations; mini-batch passes and batch iterations both count."
    ),
    ("BayesianGaussianMixture", "n_components"): Parameter(
        "int", "Maximum number of components; those that the data do not need become empty."
    ),
    ("BayesianGaussianMixture", "tol"): Parameter(
        "float",
        "Stop when the lower bound of all rows together improves by less than this in an iteration "
        "(in nats), as in scikit-learn.",
        "A few nats decide whether a component becomes empty, so do not raise it much.",
    ),
    ("BayesianGaussianMixture", "weight_concentration_prior"): Parameter(
        "float or None",
        "Concentration of the prior of the weights, above 0; None is 1 / n_components.",
        "Lower it to use fewer components.",
    ),
    ("CategoricalMixture", "init_params"): Parameter(
        "{'random', 'kmeans', 'k-means++', 'k-means||', 'random_from_data', 'standardised', "
        "'cleaned'}",
        "How the starting values are chosen, on a sample of the rows. 'random' takes random rows: "
        "codes have no distances, which the others use.",
    ),
    ("ProductMixture", "init_params"): Parameter(
        "{'standardised', 'kmeans', 'k-means++', 'k-means||', 'random_from_data', 'random', "
        "'cleaned'}",
        "How the starting values are chosen, on a sample of the rows. 'standardised' divides every "
        "feature by its standard deviation and runs K-means; the others use the units of the data.",
    ),
    ("CategoricalMixture", "probabilities_init"): Parameter(
        "array-like of shape (n_components, n_features, n_categories) or None",
        "Starting probabilities, which sum to 1 along the last axis.",
    ),
    ("MultinomialMixture", "probabilities_init"): Parameter(
        "array-like of shape (n_components, n_features) or None",
        "Starting probabilities, which sum to 1 along each row.",
    ),
    ("CategoricalMixture", "smoothing"): Parameter("float", "Pseudo-count of every category."),
    ("MultinomialMixture", "smoothing"): Parameter("float", "Pseudo-count of every feature."),
    ("PoissonMixture", "smoothing"): Parameter("float", "Pseudo-rows of one count per feature."),
    ("GaussianMixture", "mean_precision_prior"): Parameter(
        "float or None",
        "Number of rows that the prior of the means is worth. " + _PRIOR,
    ),
    **{
        (name, "schedule"): _schedules(
            "auto", "batch", "pruned", "incremental", "stepwise", "minibatch"
        )
        for name in ("KMeans",)
    },
    **{
        (name, "schedule"): _schedules(
            "batch", "squarem", "incremental", "sparse", "stepwise", "minibatch"
        )
        for name in (
            "GaussianMixture",
            "BayesianGaussianMixture",
            "IsotropicMixture",
            "BernoulliMixture",
            "BinomialMixture",
            "CategoricalMixture",
            "MultinomialMixture",
            "PoissonMixture",
            "ProductMixture",
        )
    },
    # These models refuse missing values.
    **{
        (name, "non_finite"): replace(
            READING["non_finite"],
            choices={one: READING["non_finite"].choices[one] for one in ("raise", "drop")},
        )
        for name in ("KMedians", "MultinomialMixture", "BayesianGaussianMixture")
    },
    ("BayesianGaussianMixture", "on_collapse"): replace(
        FITTING["on_collapse"],
        meaning="What to do with a component that has no rows left.",
        choices={
            **FITTING["on_collapse"].choices,
            "regularise": "Keep it, with the parameters that the M-step gives it. Without rows "
            "they are those of the prior.",
        },
    ),
    **VARIANTS_OF_CHAINS,
    ("Sweep", "verbose"): Parameter("int", "Print one line per iteration of each model."),
}


def entry(estimator: str, name: str) -> Parameter:
    """What the parameter `name` of the class `estimator` is; KeyError if nothing is written."""
    return VARIANTS.get((estimator, name)) or ESTIMATORS[name]
