"""What is kept: small data, a configuration of every kind of fit, estimators; public names only."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import zarr

ROWS, CHUNK, CLUSTERS = 240, 40, 3
#: Decoded size of a block: two chunks of three features.
BLOCK = "1920 B"

Values = dict[str, Any]

GAUSSIAN = ("full", "tied", "diagonal", "spherical")
SCHEDULES = ("batch", "incremental", "squarem", "sparse", "stepwise", "minibatch", "pruned")
SEEDERS = ("k-means++", "k-means||", "kmeans", "random", "standardised", "cleaned")
#: Dissimilarities of centroids, and the data that each is for.
DISSIMILARITIES: Mapping[str, tuple[str, Values]] = {
    "squared_euclidean": ("real", {}),
    "cosine": ("positive", {}),
    "mahalanobis": (
        "real",
        {"matrix": [[2.0, 0.5, 0.0], [0.5, 1.0, 0.0], [0.0, 0.0, 1.0]]},
    ),
    "kullback_leibler": ("positive", {}),
    "generalised_i": ("positive", {}),
    "itakura_saito": ("positive", {}),
    "logistic": ("shares", {}),
}
GROUPS = [
    {"family": "diagonal", "columns": [0, 1]},
    {"family": "categorical", "columns": [2], "options": {"categories": 4}},
    {"family": "poisson", "columns": [3]},
]


def rows() -> dict[str, Any]:
    """Arrays by name: 240 rows of three clusters that overlap, of every kind of number."""
    rng = np.random.default_rng(20)
    of = rng.integers(0, CLUSTERS, ROWS)
    centres = np.array([[0.0, 0.0, 0.0], [2.5, 2.0, 0.0], [0.0, 2.5, 2.0]])
    real = (centres[of] + rng.normal(size=(ROWS, 3))).round(3)
    rates = np.array([[2.0, 9.0, 1.0, 4.0], [8.0, 2.0, 3.0, 4.0], [4.0, 4.0, 9.0, 1.0]])
    counts = rng.poisson(rates[of]) + 0
    counts[:, 0] += 1  # no row is without a count
    codes = np.where(rng.random((ROWS, 3)) < 0.7, (of[:, None] + [0, 1, 2]) % 4,
                     rng.integers(0, 4, (ROWS, 3)))  # fmt: skip
    trials = rng.integers(4, 9, (ROWS, 2))
    hits = rng.binomial(trials, np.array([[0.2, 0.8], [0.7, 0.6], [0.5, 0.1]])[of])
    gaps = real.copy()
    gaps[rng.random(gaps.shape) < 0.08] = np.nan
    mixed = np.column_stack([real[:, :2], codes[:, 0], counts[:, 1]])
    mixed_gaps = mixed.astype(np.float64)
    mixed_gaps[rng.random(mixed.shape) < 0.05] = np.nan
    bits = rng.random((ROWS, 6)) < np.array([[0.9] * 3 + [0.2] * 3, [0.2] * 6, [0.6] * 6])[of]
    return {
        "real": real,
        "real32": real.astype(np.float32),
        "far": real + 1e6,
        "positive": np.exp(real / 2).round(3) + 0.001,
        "shares": (1 / (1 + np.exp(-real))).round(4).clip(0.001, 0.999),
        "bits": bits.astype(np.uint8),
        "counts": counts.astype(np.int32),
        "trials": counts.clip(0, 9).astype(np.uint8),
        "pairs": np.column_stack([hits, trials - hits]).astype(np.int16),
        "codes": codes.astype(np.uint8),
        "mixed": mixed.astype(np.float64),
        "gaps": gaps,
        "mixed_gaps": mixed_gaps,
    }


def zarr_array(path: Path, x: Any) -> None:
    """`x` in chunks of some rows."""
    chunks = (CHUNK, *x.shape[1:])
    zarr.create_array(path, shape=x.shape, chunks=chunks, dtype=x.dtype)[...] = x


def write_data(folder: Path) -> None:
    """The arrays of `rows` as Zarr, weights, an array within a group, and a start."""
    made = rows()
    for name, x in made.items():
        zarr_array(folder / f"{name}.zarr", x)
    group = zarr.open_group(folder / "group.zarr", mode="w")
    inner = group.create_array("inner", shape=(ROWS, 3), chunks=(CHUNK, 3), dtype="f8")
    inner[:] = made["real"]
    weights = np.random.default_rng(3).integers(0, 4, ROWS).astype(np.float64)
    zarr_array(folder / "weights.zarr", weights)
    means = made["real"][[0, 50, 100]]
    np.savez(folder / "start.npz", means=means, weights=np.array([0.2, 0.3, 0.5]))
    lines = ["width,height,depth", *(",".join(map(str, row)) for row in made["real"])]
    (folder / "named.csv").write_text("\n".join(lines) + "\n")


def fit(name: str, data: str = "real", /, **sections: Any) -> Values:
    """A configuration: six iterations at most, a checkpoint after each."""
    given = {key: dict(value) for key, value in sections.items()}
    options = given.pop("options", {})
    return {
        "data": {"path": f"{data}.zarr", "block_size": BLOCK, **given.pop("data", {})},
        "model": {
            "name": name,
            "n_components": CLUSTERS,
            "options": options,
            **given.pop("model", {}),
        },
        "fit": {"max_iter": 6, "tol": 0.0, "seed": 1, **given.pop("fit", {})},
        "cluster": {"kind": "threads", "threads": 1},
        "run": {"checkpoint_iterations": 1, "keep_last": 1, **given.pop("run", {})},
        **given,
    }


def _models() -> dict[str, Values]:
    """Every model that a configuration accepts by name."""
    made = {
        "kmeans": fit("kmeans", labels={"outputs": ["labels", "score"]}),
        "kmedians": fit("kmedians"),
        "isotropic": fit("isotropic"),
        "bernoulli": fit("bernoulli", "bits"),
        "binomial": fit("binomial", "trials", options={"trials": 9}),
        "binomial_pairs": fit("binomial_pairs", "pairs"),
        "poisson": fit("poisson", "counts"),
        "multinomial": fit("multinomial", "counts"),
        "categorical": fit("categorical", "codes", options={"categories": 4}),
        "product": fit("product", "mixed", options={"groups": GROUPS}),
    }
    made |= {name: fit(name) for name in GAUSSIAN}
    made |= {f"variational_{name}": fit(f"variational_{name}") for name in GAUSSIAN}
    for name, (data, options) in DISSIMILARITIES.items():
        model = {"dissimilarity": name}
        made[f"kcentroids-{name}"] = fit("kcentroids", data, model=model, options=options)
    return made


def _ways() -> dict[str, Values]:
    """Every schedule, seeder, assignment and strategy for weights."""
    grouped = {"groups": 3}
    made = {
        f"schedule-{name}": fit(
            "kmeans" if name in ("minibatch", "pruned") else "full",
            fit={
                "schedule": name,
                "schedule_options": grouped if name in ("incremental", "minibatch") else {},
                "max_iter": 9,
            },
        )
        for name in SCHEDULES
        if name != "batch"
    }
    for name in SEEDERS:
        model = {"noise": True} if name == "cleaned" else {}
        made[f"init-{name.replace('|', 'l')}"] = fit("diagonal", fit={"init": name}, model=model)
    for name in ("hard", "tempered", "stochastic"):
        made[f"assignment-{name}"] = fit("full", model={"assignment": name})
    for name in ("uniform", "dirichlet", "variational_dirichlet", "variational_process"):
        made[f"weights-{name}"] = fit("poisson", "counts", model={"weights": name})
    return made


def _data() -> dict[str, Values]:
    """Noise, priors, weights, missing values, types and places of data, starts."""
    prior = {"prior": {"mean_precision": 0.1, "degrees_of_freedom": 6.0}}
    missing = {"non_finite": "missing"}
    every = {"outputs": ["labels", "score", "responsibilities"]}
    return {
        "tied-noise": fit("tied", model={"noise": True}, labels=every),
        "full-noise": fit("full", model={"noise": {"weight": 0.1, "volume": 500.0}}),
        "variational-noise": fit("variational_full", model={"noise": 0.05}, labels=every),
        "full-prior": fit("full", options=prior),
        "bernoulli-smoothing": fit("bernoulli", "bits", options={"smoothing": 0.5}),
        "kmeans-weights": fit("kmeans", data={"weights": "weights.zarr"}),
        "full-weights": fit("full", data={"weights": "weights.zarr"}, labels=every),
        "full-missing": fit("full", "gaps", data=missing),
        "diagonal-missing": fit("diagonal", "gaps", data=missing),
        "kmeans-missing": fit("kmeans", "gaps", data=missing),
        "product-missing": fit("product", "mixed_gaps", data=missing, options={"groups": GROUPS}),
        "diagonal-dropped": fit("diagonal", "gaps", data={"non_finite": "drop"}),
        "kmeans-float32": fit("kmeans", "real32", model={"precision": "float32"}),
        "full-float32": fit("full", "real32"),
        "full-far": fit("full", "far"),
        "full-inner": fit("full", "group", data={"array": "inner"}),
        "full-named": fit("full", "named"),
        "full-start": fit("full", fit={"start": "start.npz"}),
        "full-starts": fit("full", fit={"n_init": 3}, run={"keep_last": 2, "keep_every": 2}),
        "kmeans-starts": fit("kmeans", fit={"n_init": 3}),
        "full-drop": fit("full", fit={"on_collapse": "drop"}, model={"min_weight": 0.02}),
        "full-converged": fit("full", fit={"tol": 0.05, "max_iter": 40}),
        "full-unlabelled": fit("full", labels={"write": False}),
        "full-prepared": fit("full") | {"prepare": ["standardise", {"pca": {"components": 2}}]},
        "full-prepared-missing": fit("full", "gaps", data=missing)
        | {"prepare": ["standardise", {"pca": {"components": 2, "missing": "pairwise"}}]},
        "kmeans-prepared": fit("kmeans", "counts")
        | {"prepare": ["log1p", {"clip": {"low": 0, "high": 3}}, {"normalise": {"norm": "l1"}}]},
    }


#: Names of runs, and their configurations with paths below the folder.
FITS: dict[str, Values] = {**_models(), **_ways(), **_data()}

#: Likewise sweeps.
SWEEPS: dict[str, Values] = {
    "sweep-kmeans": fit("kmeans") | {"sweep": {"n_components": [2, 3, 4]}},
    "sweep-families": fit("diagonal", fit={"n_init": 2})
    | {"sweep": {"n_components": [2, 3], "families": ["diagonal", "full"], "criterion": "bic"}},
    "sweep-posteriors": fit("variational_diagonal") | {"sweep": {"n_components": [2, 4]}},
}

#: Runs that were made with fewer iterations, to be extended to these.
EXTENDED: dict[str, Values] = {
    "extend-full": fit("full", fit={"max_iter": 9}, run={"extend": True}),
    "extend-starts": fit("kmeans", fit={"max_iter": 9, "n_init": 2}, run={"extend": True}),
}


def estimators() -> dict[str, tuple[str, str, dict[str, Any]]]:
    """Class, data and parameters of an estimator of every kind, by name."""
    named = {"KMeans": "real", "MiniBatchKMeans": "real", "KMedians": "real",
             "BernoulliMixture": "bits", "MultinomialMixture": "counts",
             "PoissonMixture": "counts", "IsotropicMixture": "real"}  # fmt: skip
    made: dict[str, tuple[str, str, dict[str, Any]]] = {
        name: (name, data, {}) for name, data in named.items()
    }
    for kind in ("full", "tied", "diag", "spherical"):
        given = {"covariance_type": kind}
        made[f"GaussianMixture-{kind}"] = ("GaussianMixture", "real", given)
        made[f"BayesianGaussianMixture-{kind}"] = ("BayesianGaussianMixture", "real", given)
    for name, (data, options) in DISSIMILARITIES.items():
        given = {"dissimilarity": name, "dissimilarity_params": options or None}
        made[f"KCentroids-{name}"] = ("KCentroids", data, given)
    kind = {"weight_concentration_prior_type": "dirichlet_distribution"}
    return made | {
        "GaussianMixture-noise": ("GaussianMixture", "real", {"noise": True}),
        "GaussianMixture-prior": ("GaussianMixture", "real", {"mean_precision_prior": 0.1}),
        "GaussianMixture-missing": ("GaussianMixture", "gaps", {"non_finite": "missing"}),
        "BayesianGaussianMixture-dirichlet": ("BayesianGaussianMixture", "real", kind),
        "BinomialMixture": ("BinomialMixture", "trials", {"n_trials": 9}),
        "BinomialMixture-cell": ("BinomialMixture", "pairs", {"n_trials": "cell"}),
        "CategoricalMixture": ("CategoricalMixture", "codes", {"n_categories": 4}),
        "ProductMixture": ("ProductMixture", "mixed", {"groups": GROUPS}),
        "GaussianHMM": ("GaussianHMM", "real", {"covariance_type": "full"}),
        "BernoulliHMM": ("BernoulliHMM", "bits", {}),
        "CategoricalHMM": ("CategoricalHMM", "codes", {"n_categories": 4}),
        "PoissonHMM": ("PoissonHMM", "counts", {}),
        "HiddenMarkovModel": (
            "HiddenMarkovModel", "mixed",
            {"emission": "product", "emission_options": {"groups": GROUPS}},
        ),
    }  # fmt: skip
