"""Parameters of the estimators, by the names that they have in Python, which are scikit-learn's."""

from __future__ import annotations

from collections.abc import Mapping

from emdist.parameters.chains import CHAINS
from emdist.parameters.entry import Parameter
from emdist.parameters.fitting import FITTING
from emdist.parameters.models import MODELS
from emdist.parameters.reading import READING
from emdist.parameters.running import RUNNING

_SAME_START = "Parameters that are not given are estimated from the rows nearest to the means."

#: By the name of the parameter.
ESTIMATORS: Mapping[str, Parameter] = {
    **READING,
    "cache": RUNNING["cluster.cache"],
    "n_clusters": Parameter("int", "Number of clusters.", "Compare several with `Sweep`."),
    "n_components": Parameter(
        "int", "Number of mixture components.", "Compare several with `Sweep`."
    ),
    "covariance_type": Parameter(
        "",
        "Shape of the covariance matrices.",
        "Simpler shapes need fewer rows and less time.",
        choices={
            "full": "One matrix for each component.",
            "tied": "One matrix for all components.",
            "diag": "Variances of the features for each component; 'diagonal' is the same.",
            "spherical": "One variance for each component.",
        },
    ),
    "tol": Parameter(
        "float",
        "Stop when the lower bound per row improves by less than this in an iteration (in nats).",
        "Lower it for more exact parameters, at the cost of more iterations.",
    ),
    "reg_covar": Parameter(
        "float",
        "Value added to the diagonal of the covariance matrices, which keeps them positive "
        "definite (squared units of the data).",
        "Raise it if components collapse; lower it if features vary by less than 1e-3.",
    ),
    "max_iter": Parameter(
        "int",
        "Maximum number of iterations of one restart.",
        "Raise it if a ConvergenceWarning says that the fit has not converged.",
    ),
    "n_init": FITTING["n_init"],
    "init_params": Parameter(
        "",
        "How the starting means are chosen, on a sample of the rows.",
        "With noise, 'kmeans' leaves out rows that have no near neighbours (Byers and Raftery "
        "1998).",
        choices={
            "kmeans": "K-means on the sample, in about the time of an iteration on all rows.",
            "k-means++": "Greedy k-means++.",
            "k-means||": "k-means|| with oversampling.",
            "random_from_data": "Random rows; 'random' is the same.",
            "standardised": "As 'kmeans', with every feature divided by its standard deviation.",
            "cleaned": "As 'kmeans', without rows that have no near neighbours.",
        },
    ),
    "init": Parameter(
        "{'k-means++', 'random', 'k-means||', 'kmeans', 'standardised', 'cleaned'} or array-like "
        "of shape (n_clusters, n_features)",
        "Starting centres, or how they are chosen on a sample of the rows.",
        choices={
            "k-means++": "Greedy k-means++.",
            "random": "Random rows.",
            "k-means||": "k-means|| with oversampling.",
            "kmeans": "K-means on the sample, in about the time of an iteration on all rows.",
            "standardised": "As 'kmeans', with every feature divided by its standard deviation.",
            "cleaned": "As 'kmeans', without rows that have no near neighbours.",
        },
    ),
    "random_state": Parameter(
        "int, RandomState instance or None",
        "Random seed. The same integer gives bit-identical results with any number of threads or "
        "workers; None draws a new seed.",
        "Pass an integer for results that can be repeated.",
    ),
    "warm_start": Parameter(
        "bool", "Start from the parameters of the previous fit of this estimator."
    ),
    "prepare": Parameter(
        "list or None",
        "Steps that prepare rows before they are clustered: names such as 'standardise', dicts "
        "such as {'pca': 8}, or transformers of `emdist.prepare`. Fitted attributes such as means "
        "are those of prepared rows; ``preparation_.inverse`` moves them back.",
        "Use it for features of different units; docs/prepare.md lists the steps.",
    ),
    "verbose": Parameter("int", "Print one line per iteration if it is not 0."),
    "verbose_interval": Parameter(
        "int", "Accepted for compatibility with scikit-learn; it has no effect."
    ),
    "copy_x": Parameter(
        "bool", "Accepted for compatibility with scikit-learn; X is never changed."
    ),
    "on_collapse": FITTING["on_collapse"],
    "assignment": MODELS["assignment"],
    "assignment_options": Parameter(
        "dict or None",
        "Options of the assignment, such as {'start': 2.0} for 'tempered'; docs/models.md lists "
        "them.",
    ),
    "schedule": FITTING["schedule"],
    "schedule_options": Parameter(
        "dict or None",
        "Options of the schedule, such as {'groups': 8} for 'incremental'; docs/schedules.md lists "
        "them.",
    ),
    "precision": MODELS["precision"],
    "engine": Parameter(
        "distributed.Client or None",
        "Where blocks are computed: on the workers of a Dask client, or on threads of this process "
        "(None). Results do not depend on it.",
    ),
    "weights_init": Parameter(
        "array-like of shape (n_components,) or None", "Starting weights. " + _SAME_START
    ),
    "means_init": Parameter(
        "array-like of shape (n_components, n_features) or None", "Starting means."
    ),
    "precisions_init": Parameter(
        "array-like or None",
        "Starting precisions (inverse covariances), in the shape that `covariance_type` gives: "
        "(n_components, n_features, n_features) for 'full', (n_features, n_features) for 'tied', "
        "(n_components, n_features) for 'diag', (n_components,) for 'spherical'.",
    ),
    "probabilities_init": Parameter(
        "array-like of shape (n_components, n_features) or None", "Starting probabilities."
    ),
    "rates_init": Parameter(
        "array-like of shape (n_components, n_features) or None", "Starting rates."
    ),
    "uniform_weights": MODELS["uniform_weights"],
    "smoothing": Parameter(
        "float",
        "Pseudo-count added to each outcome, as in scikit-learn's naive Bayes. The value 1 is "
        "Laplace smoothing.",
        "Raise it if probabilities of exactly 0 or 1 make new rows impossible.",
    ),
    "noise": MODELS["noise"],
    "noise_volume": Parameter(
        "float or None",
        "Volume V of the uniform noise, whose density is 1 / V; None is the bounding box of the "
        "data.",
    ),
    "weight_concentration_prior_type": Parameter(
        "",
        "Prior of the weights.",
        choices={
            "dirichlet_process": "Truncated stick-breaking; the order of the components matters.",
            "dirichlet_distribution": "A symmetric Dirichlet distribution.",
        },
    ),
    "weight_concentration_prior": Parameter(
        "float or None",
        "Concentration of a Dirichlet prior of the weights, at least 1. It adds (value - 1) "
        "pseudo-rows to each component.",
    ),
    "mean_precision_prior": Parameter(
        "float or None", "Number of rows that the prior of the means is worth; None is 1."
    ),
    "mean_prior": Parameter(
        "array-like of shape (n_features,) or None",
        "Mean of the prior of the means; None is the mean of the data.",
    ),
    "degrees_of_freedom_prior": Parameter(
        "float or None",
        "Degrees of freedom of the prior of the precisions, more than n_features - 1; None is "
        "n_features.",
    ),
    "covariance_prior": Parameter(
        "array-like, float or None",
        "Scale of the prior of the covariances: of shape (n_features, n_features), (n_features,) "
        "for 'diag', a number for 'spherical'; None is that of the data.",
    ),
    "n_trials": Parameter(
        "int, sequence of int or 'cell'",
        "Number of trials behind each value, for all features or for each. 'cell': every cell has "
        "its own, and X holds successes and then failures, of shape (n_samples, 2 n_features), as "
        "`pairs` makes them; a cell without trials is a missing value.",
    ),
    "n_categories": Parameter(
        "int", "Number of categories c of each feature; X holds codes 0..c-1."
    ),
    "variance": Parameter(
        "float", "Variance of every feature in every component (squared units of the data)."
    ),
    "groups": Parameter(
        "list of dict or None",
        "One dict for each group of features: 'columns' (indices, or a range such as '3:40'), "
        "'family' (a name of the configuration) and, if wanted, 'options' of the family. Each "
        "feature is in one group or in `ignored`. None is one group of diagonal Gaussians.",
    ),
    "ignored": Parameter(
        "sequence of int or str", "Indices of features that the model leaves out."
    ),
    "dissimilarity": Parameter(
        "str or callable",
        "Dissimilarity D between rows and centres: a name, or a function of rows (m, n_features) "
        "and centres (k, n_features) that returns (m, k) values >= 0 in float64.",
        choices=MODELS["dissimilarity"].choices,
    ),
    "dissimilarity_options": Parameter(
        "dict or None",
        "Options of a named dissimilarity: {'matrix': A} or {'covariance': S} for 'mahalanobis'.",
    ),
    "dissimilarity_params": Parameter(
        "dict or None", "Deprecated: the old name of `dissimilarity_options`."
    ),
    "centre": Parameter(
        "callable, tuple of two callables or None",
        "For a dissimilarity of your own: how a centre is made. None takes the mean of the rows. "
        "A function takes the means of all clusters, (k, n_features), and returns the centres. Of "
        "a pair (statistics, centre), the first function maps rows (m, n_features) to statistics "
        "(m, W); the second takes the means of these statistics, (k, W), and returns the centres. "
        "If a centre does not minimise the sum of D over its cluster, the objective may rise.",
    ),
    "algorithm": Parameter(
        "",
        "How an iteration is computed; the result is the same.",
        choices={
            "lloyd": "As `schedule` says.",
            "elkan": "Skips rows whose cluster cannot change (the schedule 'pruned'); it keeps 10 "
            "bytes per row.",
        },
    ),
    "bins": Parameter(
        "int",
        "Number of histogram bins for each cluster and feature, at least 8.",
        "Raise it to need fewer passes; a pass holds 24 bytes for each bin.",
    ),
    "n_batches": Parameter("int", "Number of mini-batches in one pass over all rows."),
    "passes": Parameter(
        "int",
        "Number of passes with mini-batches before the batch iterations.",
        "Set max_iter to the same number for mini-batches alone.",
    ),
    "estimator": Parameter(
        "estimator", "A `KMeans`, `GaussianMixture` or other estimator of emdist; it is cloned."
    ),
    "param_grid": Parameter(
        "dict or list of dict",
        "Parameters and the values to compare, as for GridSearchCV. `engine` and the parameters "
        "about reading data are those of the estimator.",
    ),
    "criterion": Parameter(
        "",
        "How the best model is chosen. None: 'bic' for mixtures, 'bound' for variational models, "
        "'icl' for K-means and K-medians.",
        choices={
            "bic": "Bayesian information criterion.",
            "aic": "Akaike information criterion.",
            "icl": "Integrated completed likelihood.",
            "bound": "Evidence lower bound.",
            "calinski_harabasz": "Variance between clusters by variance within.",
            "silhouette": "Mean silhouette, for squared Euclidean distances: a heuristic.",
            "davies_bouldin": "Davies-Bouldin index: a heuristic.",
            "elbow": "Where the objective bends: a heuristic.",
        },
    ),
    "allow_degenerate": Parameter(
        "bool",
        "Whether a model whose components lie on the variance floor may be the best. Its "
        "likelihood depends on the floor alone.",
    ),
    "sums_memory": Parameter(
        "str",
        "Memory for the sums of all models of one block. If they need more, a pass takes more "
        "than one read of the data.",
    ),
    **CHAINS,
    "memory": Parameter("str or None", "Deprecated: the old name of `sums_memory`."),
}
