"""Parameters of a model: which one is fitted, and what it is made of."""

from __future__ import annotations

from collections.abc import Mapping

from emdist.parameters.entry import Parameter

#: scikit-learn's names of families, and emdist's name of each.
OTHER_FAMILIES: Mapping[str, str] = {
    "diag": "diagonal",
    "variational_diag": "variational_diagonal",
}

MODELS = {
    "name": Parameter(
        "",
        "The model to fit.",
        choices={
            "kmeans": "K-means.",
            "kmedians": "K-medians: L1 distances and exact medians.",
            "kcentroids": "Centres under another dissimilarity.",
            "full": "Gaussians with a covariance matrix each.",
            "tied": "Gaussians that share one covariance matrix.",
            "diagonal": "Gaussians with a variance for each feature.",
            "spherical": "Gaussians with one variance each.",
            "isotropic": "Gaussians of one given variance.",
            "bernoulli": "Independent bits.",
            "binomial": "Successes out of a known number of trials.",
            "binomial_pairs": "Successes beside failures, with trials for each cell.",
            "poisson": "Counts without a limit.",
            "multinomial": "Counts that share a total, such as words of a document.",
            "categorical": "Codes 0..c-1.",
            "product": "Groups of features of different families.",
            "hmm": "A hidden Markov model, whose states emit rows of the family `emission`.",
            "variational_full": "Variational Bayes, as full.",
            "variational_tied": "Variational Bayes, as tied.",
            "variational_diagonal": "Variational Bayes, as diagonal.",
            "variational_spherical": "Variational Bayes, as spherical.",
        },
        other_names=OTHER_FAMILIES,
        default="kmeans",
    ),
    "n_components": Parameter(
        "int", "Number of components or clusters.", "Compare several with `emdist sweep`.", "8"
    ),
    "assignment": Parameter(
        "",
        "How each row is shared among the components. Models of centres always use hard "
        "assignment.",
        "The default suits most data; docs/models.md describes the others.",
        choices={
            "soft": "Each component gets its responsibility for the row. This is ordinary EM.",
            "hard": "The most probable component gets the whole row. This is classification EM.",
            "tempered": "The shares are nearly equal at first and approach those of EM. This is "
            "deterministic annealing; its result depends less on the starting values.",
            "stochastic": "In the first iterations, a random component gets the whole row, drawn "
            "with the responsibilities as probabilities. Ordinary EM follows.",
        },
    ),
    "assignment_options": Parameter(
        "dict",
        "Options of the assignment: start, factor and end of the temperature for tempered; "
        "iterations with draws for stochastic.",
    ),
    "weights": Parameter(
        "",
        "How the mixture weights are estimated.",
        choices={
            "free": "By maximum likelihood.",
            "uniform": "All weights stay 1 / n_components.",
            "dirichlet": "The most probable weights under a Dirichlet prior.",
            "variational_dirichlet": "A posterior under a Dirichlet prior, which empties "
            "components that the data do not need.",
            "variational_process": "The same under a truncated Dirichlet process.",
        },
    ),
    "weights_options": Parameter("dict", "Options of the weights: concentration of the prior."),
    "uniform_weights": Parameter("bool", "Keep all mixture weights at 1 / n_components."),
    "precision": Parameter(
        "",
        "Floating-point type of the arithmetic within a block. Sums over rows are always float64.",
        choices={
            "auto": "The type of the data where that is accurate enough.",
            "float32": "Faster, accurate to about six digits.",
            "float64": "",
        },
    ),
    "min_weight": Parameter(
        "float", "A component whose weight falls below this share has collapsed."
    ),
    "noise": Parameter(
        "float or bool",
        "Add a uniform noise component for outliers, which get the label -1 (Banfield and Raftery "
        "1993). A number is the share of rows that is noise at the start; True means 0.05.",
        "Use it if a few far rows distort the components.",
        "No noise.",
    ),
    "emission": Parameter(
        "str",
        "Family of the emissions of a hidden Markov model (name: hmm): one of the names of "
        "families above.",
        default="diagonal for hmm",
    ),
    "chain": Parameter(
        "section",
        "How states follow one another. It makes the components of any family states of a hidden "
        "Markov model; name: hmm does so with the defaults.",
        default="No chain.",
    ),
    "missing": Parameter(
        "bool", "Whether NaN is a missing value. data.non_finite: missing sets it."
    ),
    "dissimilarity": Parameter(
        "",
        "Dissimilarity between rows and centres, for kcentroids.",
        choices={
            "squared_euclidean": "K-means.",
            "cosine": "Compares the directions of rows (spherical K-means).",
            "mahalanobis": "Measures distances with one matrix that you give.",
            "kullback_leibler": "Compares proportions.",
            "generalised_i": "Compares non-negative values.",
            "itakura_saito": "Compares spectra.",
            "logistic": "Compares probabilities.",
        },
        default="squared_euclidean",
    ),
    "options": Parameter(
        "dict",
        "Options of the family or dissimilarity: reg_covar and prior for Gaussians, variance for "
        "isotropic, trials for binomial, categories for categorical, smoothing for discrete "
        "families, bins for kmedians, groups and ignored for product, matrix or covariance for "
        "mahalanobis.",
    ),
}
