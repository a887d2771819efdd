"""Fitted attributes of the estimators: type, shape and meaning."""

from __future__ import annotations

from collections.abc import Mapping

from emdist.parameters.entry import Parameter

_K, _D = "n_components", "n_features"


def _array(shape: str, meaning: str) -> Parameter:
    return Parameter(f"ndarray of shape ({shape})", meaning)


#: By name.
ATTRIBUTES: Mapping[str, Parameter] = {
    "cluster_centers_": _array("n_clusters, n_features", "Centres, in float64."),
    "labels_": _array(
        "n_samples,",
        "Index of the cluster of each training row, in int32. For data that is not in memory it is "
        "computed when it is first used.",
    ),
    "inertia_": Parameter(
        "float", "Weighted sum of the squared distances of rows to their nearest centre."
    ),
    "n_iter_": Parameter("int", "Number of iterations of the best restart."),
    "n_features_in_": Parameter("int", "Number of features seen by `fit`."),
    "history_": Parameter(
        "tuple of Record",
        "One `emdist.fit.state.Record` for each iteration of the best restart.",
    ),
    "weights_": _array(f"{_K},", "Mixture weights."),
    "means_": _array(f"{_K}, {_D}", "Means of the components."),
    "noise_weight_": Parameter("float", "Weight of the noise component; only with `noise`."),
    "covariances_": Parameter(
        "ndarray", "Covariances, in the shape that `covariance_type` gives in scikit-learn."
    ),
    "precisions_": Parameter("ndarray", "Inverses of the covariances, in the same shape."),
    "precisions_cholesky_": Parameter(
        "ndarray", "Cholesky factors of the precisions, in the same shape."
    ),
    "converged_": Parameter("bool", "Whether the best restart has converged."),
    "lower_bound_": Parameter(
        "float",
        "Lower bound of the best restart per unit of sample weight, in nats: the log-likelihood, "
        "plus the log-prior where there is a prior or `smoothing`.",
    ),
    "lower_bounds_": Parameter("list of float", "Lower bound after each iteration."),
    "weight_concentration_": Parameter(
        "ndarray or tuple of two ndarray",
        "Concentration of the posterior of the weights, of shape (n_components,); for "
        "'dirichlet_process' two such arrays, of the stick's breaks.",
    ),
    "mean_precision_": _array(f"{_K},", "Precision of the posterior of each mean, in rows."),
    "degrees_of_freedom_": Parameter(
        "ndarray of shape (n_components,) or float",
        "Degrees of freedom of the posterior of each precision; one number for 'tied'.",
    ),
    "weight_concentration_prior_": Parameter(
        "float", "`weight_concentration_prior`, or its default."
    ),
    "mean_precision_prior_": Parameter("float", "`mean_precision_prior`, or its default."),
    "mean_prior_": _array(f"{_D},", "`mean_prior`, or its default."),
    "degrees_of_freedom_prior_": Parameter("float", "`degrees_of_freedom_prior`, or its default."),
    "covariance_prior_": Parameter("ndarray or float", "`covariance_prior`, or its default."),
    "probabilities_": _array(f"{_K}, {_D}", "Probability of each feature in each component."),
    "rates_": _array(f"{_K}, {_D}", "Rate of each feature in each component."),
    "parts_": Parameter(
        "list of dict",
        "For each group, the arrays of its family by name, such as 'means', 'variances' or "
        "'probabilities'.",
    ),
    "startprob_": _array(f"{_K},", "Probability that a sequence begins in each state."),
    "transmat_": _array(
        f"{_K}, {_K}", "Probability of each next state (column), given the state (row)."
    ),
    "covars_": _array(f"{_K}, {_D}, {_D}", "Covariance matrix of each state, as in hmmlearn."),
    "lambdas_": _array(f"{_K}, {_D}", "Expected count of each feature in each state."),
    "emissionprob_": Parameter(
        "ndarray of shape (n_components, n_categories)",
        "Probability of each category in each state. With several features, the shape is "
        "(n_components, n_features, n_categories).",
    ),
    "emission_": Parameter("dict of ndarray", "The arrays of the emissions' family by name."),
    "results_": Parameter(
        "dict of ndarray",
        "One entry per model, in the order of ``ParameterGrid``: 'params', 'param_<name>', "
        "'objective', 'score', every criterion that is known, 'n_iter', 'converged', 'degenerate' "
        "(whether components lie on the variance floor) and 'rank' (1 is the best).",
    ),
    "estimators_": Parameter("list of estimator", "The fitted estimators, in the same order."),
    "best_index_": Parameter("int", "Index of the best model."),
    "best_params_": Parameter("dict", "Parameters of the best model."),
    "best_estimator_": Parameter("estimator", "The best model."),
    "best_score_": Parameter("float", "Value of the criterion for the best model."),
    "criterion_": Parameter("str", "The criterion that was used."),
}

#: Where an attribute means something of its own, by class and name.
VARIANTS: Mapping[tuple[str, str], Parameter] = {
    ("KMedians", "cluster_centers_"): _array(
        "n_clusters, n_features", "Centres, in float64; each value is one of the data."
    ),
    ("KMedians", "inertia_"): Parameter(
        "float", "Weighted sum of the L1 distances of rows to their nearest centre."
    ),
    ("KMedians", "n_iter_"): Parameter("int", "Number of passes of the best restart."),
    ("KCentroids", "cluster_centers_"): _array(
        "n_clusters, n_features",
        "Centres, in float64: unit vectors for 'cosine', proportions for 'kullback_leibler'.",
    ),
    ("KCentroids", "inertia_"): Parameter(
        "float", "Weighted sum of the dissimilarity of rows and their nearest centre."
    ),
    ("MiniBatchKMeans", "labels_"): _array(
        "n_samples,",
        "Index of the cluster of each training row, in int32; after `partial_fit` of the rows of "
        "the last chunk.",
    ),
    ("MiniBatchKMeans", "inertia_"): Parameter(
        "float",
        "Weighted sum of the squared distances of rows to their nearest centre; after "
        "`partial_fit` of the last chunk under the centres before it.",
    ),
    ("GaussianMixture", "weights_"): _array(
        f"{_K},", "Mixture weights. With noise, they and `noise_weight_` sum to 1."
    ),
    ("BayesianGaussianMixture", "weights_"): _array(
        f"{_K},", "Expected mixture weights under the posterior."
    ),
    ("BayesianGaussianMixture", "means_"): _array(
        f"{_K}, {_D}", "Expected means under the posterior."
    ),
    ("BayesianGaussianMixture", "covariances_"): Parameter(
        "ndarray",
        "Inverses of the expected precisions, in the shape that `covariance_type` gives in "
        "scikit-learn.",
    ),
    ("BayesianGaussianMixture", "precisions_"): Parameter(
        "ndarray", "Expected precisions, in the same shape."
    ),
    ("BayesianGaussianMixture", "lower_bound_"): Parameter(
        "float",
        "Evidence lower bound of the best restart per unit of sample weight, in nats, with all of "
        "its constants. That of scikit-learn is of all rows together and leaves constants out.",
    ),
    ("CategoricalMixture", "probabilities_"): _array(
        f"{_K}, {_D}, n_categories", "Probabilities, which sum to 1 along the last axis."
    ),
    ("MultinomialMixture", "probabilities_"): _array(
        f"{_K}, {_D}", "Probabilities, which sum to 1 along each row."
    ),
    ("ProductMixture", "means_"): _array(
        f"{_K}, {_D}", "Where the components lie: means, and expected codes of categories."
    ),
}


def attribute(estimator: str, name: str) -> Parameter:
    """What the attribute `name` of the class `estimator` is; KeyError if nothing is written."""
    return VARIANTS.get((estimator, name)) or ATTRIBUTES[name]
