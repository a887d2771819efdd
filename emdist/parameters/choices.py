"""Types of the parameters that have a fixed set of choices, for type checkers."""

from __future__ import annotations

from typing import Literal, TypeAlias

MissingChunks: TypeAlias = Literal["raise", "drop", "fill"]
CorruptChunks: TypeAlias = Literal["raise", "drop"]
Decode: TypeAlias = Literal["cf", "none"]
OutputName: TypeAlias = Literal[
    "labels",
    "score",
    "responsibilities",
    "probability",
    "max_posterior",
    "entropy",
    "filtered",
    "predicted",
]
IfRunning: TypeAlias = Literal["take_over", "wait", "skip"]
NonFinite: TypeAlias = Literal["raise", "drop", "missing"]
OnCollapse: TypeAlias = Literal["regularise", "reseed", "drop", "raise"]
Assignment: TypeAlias = Literal["soft", "hard", "tempered", "stochastic"]
Schedule: TypeAlias = Literal[
    "auto", "batch", "pruned", "squarem", "incremental", "sparse", "stepwise", "minibatch"
]
Precision: TypeAlias = Literal["auto", "float32", "float64"]
CovarianceType: TypeAlias = Literal["full", "tied", "diag", "diagonal", "spherical"]
WeightPrior: TypeAlias = Literal["dirichlet_process", "dirichlet_distribution"]
MixtureInit: TypeAlias = Literal[
    "kmeans",
    "k-means++",
    "k-means||",
    "random_from_data",
    "random",
    "standardised",
    "cleaned",
]
CentreInit: TypeAlias = Literal[
    "k-means++", "random", "k-means||", "kmeans", "standardised", "cleaned"
]
Algorithm: TypeAlias = Literal["lloyd", "elkan"]
Criterion: TypeAlias = Literal[
    "bic", "aic", "icl", "bound", "calinski_harabasz", "silhouette", "davies_bouldin", "elbow"
]
ChainStart: TypeAlias = Literal["free", "uniform", "stationary"]
ChainAssignment: TypeAlias = Literal["soft", "hard"]
