"""Parameters of hidden Markov models: of the estimators, and of the section ``model.chain``."""

from __future__ import annotations

from collections.abc import Mapping

from emdist.parameters.entry import Parameter
from emdist.parameters.fitting import FITTING
from emdist.parameters.reading import READING

_PRIOR = (
    "Concentration of a symmetric Dirichlet prior of {}, at least 1. It adds (value - 1) to the "
    "count of each; probabilities that are 0 stay 0."
)
_STARTS = {
    "free": "Estimated.",
    "uniform": "All states are equally probable.",
    "stationary": "The distribution that the transitions leave unchanged, as if the sequence had "
    "begun long ago. Transitions are estimated under this condition.",
}
_START = "Probabilities of the state in which a sequence begins."

#: Parameters of the estimators.
CHAINS: Mapping[str, Parameter] = {
    "start": Parameter("", _START, choices=_STARTS),
    "startprob_prior": Parameter("float", _PRIOR.format("the start probabilities")),
    "transmat_prior": Parameter(
        "float",
        _PRIOR.format("the transitions"),
        "Raise it if a state is left so rarely that its transitions are uncertain.",
    ),
    "startprob_init": Parameter(
        "array-like of shape (n_components,) or None",
        "Starting values of `startprob_`. None are equal probabilities. A 0 stays 0.",
    ),
    "transmat_init": Parameter(
        "array-like of shape (n_components, n_components) or None",
        "Starting values of `transmat_`, whose rows sum to 1. None: states last ten rows on "
        "average. A transition of 0 stays 0 to the bit.",
        "Give it for a left-right model, whose states cannot go back.",
    ),
    "covars_init": Parameter(
        "array-like or None",
        "Starting covariances, in the shape that `covariance_type` gives: (n_components, "
        "n_features, n_features) for 'full', (n_features, n_features) for 'tied', (n_components, "
        "n_features) for 'diag', (n_components,) for 'spherical'.",
    ),
    "lambdas_init": Parameter(
        "array-like of shape (n_components, n_features) or None", "Starting expected counts."
    ),
    "emissionprob_init": Parameter(
        "array-like or None",
        "Starting probabilities of the categories: (n_components, n_categories), or "
        "(n_components, n_features, n_categories).",
    ),
    "emission": Parameter(
        "str",
        "Family of the emissions, by its name in a configuration: 'full', 'tied', 'diagonal', "
        "'spherical', 'isotropic', 'bernoulli', 'binomial', 'poisson', 'multinomial', "
        "'categorical' or 'product'.",
    ),
    "emission_options": Parameter(
        "dict or None", "Options of the family, such as {'smoothing': 1.0}."
    ),
    "emission_init": Parameter(
        "dict or None",
        "Starting values of the family's arrays by name, in the shapes of `emission_`, such as "
        "{'means': ..., 'variances': ...}.",
    ),
    "decoding": READING["decode"],
}

_ASSIGNMENT = Parameter(
    "",
    "How rows are shared among the states.",
    choices={
        "soft": "By smoothed posteriors, over all paths. This is ordinary EM (Baum-Welch).",
        "hard": "By the most probable path (Viterbi training). It is faster, and biased.",
    },
)

#: What parameters of other estimators mean for a hidden Markov model.
VARIANTS_OF_CHAINS: Mapping[tuple[str, str], Parameter] = {
    (name, key): value
    for name in (
        "GaussianHMM",
        "PoissonHMM",
        "BernoulliHMM",
        "CategoricalHMM",
        "HiddenMarkovModel",
    )
    for key, value in (
        ("n_components", Parameter("int", "Number of states.", "Compare several by `bic`.")),
        ("assignment", _ASSIGNMENT),
        ("on_collapse", FITTING["on_collapse"]),
    )
}

#: Keys of the section ``model.chain`` of a configuration.
CHAIN_KEYS: Mapping[str, Parameter] = {
    "start": Parameter("", _START, choices=_STARTS),
    "start_prior": CHAINS["startprob_prior"],
    "transition_prior": CHAINS["transmat_prior"],
}
