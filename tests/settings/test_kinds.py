"""Booleans where numbers belong, and numbers or text where booleans belong, are refused."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import emdist
from emdist import GaussianMixture, KMeans
from emdist.composition.make import make_engine
from emdist.composition.model import make_model
from emdist.composition.recipe import Recipe
from emdist.engines.threads import LocalEngine
from emdist.errors import ConfigError
from emdist.settings.config import ClusterSection, Config, FitSection, ModelSection, make_config

X = np.array([[0.0, 1], [1, 0], [9, 8], [8, 9], [0, 0], [9, 9]])

#: Parameters that take booleans, and that take text or arrays.
SWITCHES = {"warm_start", "copy_x", "uniform_weights"}
FLAGS = {"verbose", "verbose_interval", "noise"}
#: Those that a sweep and a fit of these rows need.
NEEDED: dict[str, dict[str, Any]] = {
    "ProductMixture": {"groups": [{"columns": [0, 1], "family": "diagonal"}]},
    "BinomialMixture": {"n_trials": 9},
    "CategoricalMixture": {"n_categories": 10},
}
ESTIMATORS = [name for name in emdist.__all__ if name[0].isupper() and name != "Sweep"]


def numbers_of(name: str) -> list[str]:
    """Parameters with a number for a default, or None where a number is meant."""
    parameters = inspect.signature(getattr(emdist, name)).parameters.values()
    return [
        p.name
        for p in parameters
        if (isinstance(p.default, int | float) and not isinstance(p.default, bool))
        or p.name in ("random_state", "n_init", "noise_volume")
        or (p.name.endswith("prior") and p.name not in ("mean_prior", "covariance_prior"))
        if p.name not in FLAGS
    ]


_TOLD = {"n_trials": "trials", "n_categories": "categories"}
CASES = [(name, parameter) for name in ESTIMATORS for parameter in numbers_of(name)]


def size_of(cls: Any) -> str:
    """The parameter that holds the number of clusters or components."""
    return "n_clusters" if "n_clusters" in inspect.signature(cls).parameters else "n_components"


def test_there_are_cases() -> None:
    assert {"n_clusters", "tol", "max_iter", "n_init", "random_state"} <= set(numbers_of("KMeans"))
    assert len(CASES) > 80


@pytest.mark.parametrize(("name", "parameter"), CASES)
def test_no_estimator_takes_a_boolean_or_text_for_a_number(name: str, parameter: str) -> None:
    cls = getattr(emdist, name)
    for value in (True, np.True_, "3", b"3"):
        settings = {**NEEDED.get(name, {}), parameter: value}
        if parameter == "noise_volume":
            settings["noise"] = True
        if parameter == "n_init" and value == "auto":
            continue
        with pytest.raises(ConfigError, match=_TOLD.get(parameter, parameter)):
            cls(**{size_of(cls): 2, **settings}).fit(X)


@pytest.mark.parametrize("name", ESTIMATORS)
def test_no_estimator_takes_a_number_or_text_for_a_boolean(name: str) -> None:
    cls = getattr(emdist, name)
    for parameter in SWITCHES & set(inspect.signature(cls).parameters):
        for value in (1, 0, "no", "False", None, np.float64(1)):
            with pytest.raises(ConfigError, match=parameter):
                cls(**NEEDED.get(name, {}), **{parameter: value}).fit(X)
        cls(2, **NEEDED.get(name, {}), **{parameter: np.False_}) if name[0] == "K" else None


@pytest.mark.parametrize("value", [True, "yes", 1.5, -1])
def test_verbose_is_a_number_or_a_boolean(value: Any) -> None:
    if value is True:
        KMeans(2, verbose=np.bool_(False)).fit(X)
        return
    with pytest.raises(ConfigError, match="verbose"):
        KMeans(2, verbose=value).fit(X)


def test_numbers_of_numpy_are_numbers() -> None:
    est = KMeans(np.int64(2), tol=np.float32(0.5), max_iter=np.uint8(9), random_state=np.int32(0))
    plain = KMeans(2, tol=0.5, max_iter=9, random_state=0)
    assert np.array_equal(est.fit(X).cluster_centers_, plain.fit(X).cluster_centers_)
    assert GaussianMixture(np.int16(2), reg_covar=np.float32(0.25)).fit(X).means_.shape == (2, 2)


@pytest.mark.parametrize("value", [True, 1.5, "3", 0, None])
def test_numbers_of_draws(value: Any) -> None:
    est = GaussianMixture(2, random_state=0).fit(X)
    with pytest.raises(ConfigError, match="n_samples"):
        est.sample(value)
    with pytest.raises(ConfigError, match="n="):
        est.distribution().sample(value)
    assert len(est.sample(np.int64(3))[0]) == 3


def test_a_mask_is_no_list_of_features() -> None:
    mixture = GaussianMixture(2, random_state=0).fit(X).distribution()
    for which in (True, [True, False], np.array([True, False])):
        with pytest.raises(ConfigError, match="features"):
            mixture.marginal(which)
    with pytest.raises(ConfigError, match="seed"):
        mixture.sample(3, seed=True)


#: Keys of a configuration that hold numbers, and those that hold booleans.
NUMBERS = [
    "model.n_components", "model.min_weight", "model.noise.weight", "model.noise.volume",
    "fit.seed", "fit.n_init", "fit.max_iter", "fit.tol", "fit.sample_rows",
    "cluster.stall_timeout", "run.checkpoint_seconds", "run.checkpoint_iterations",
    "run.keep_last", "run.keep_every", "ingest.rows_per_chunk",
]  # fmt: skip
BOOLEANS = [
    "model.uniform_weights", "model.missing", "labels.write", "labels.overwrite", "run.extend",
    "run.retention_keep_model",
]  # fmt: skip


def config_of(key: str, value: Any) -> Config:
    values: dict[str, Any] = {"data": {"path": "x.zarr"}, "ingest": {"source": "x.npy"}}
    *sections, last = key.split(".")
    at = values
    for section in sections:
        at = at.setdefault(section, {})
    at[last] = value
    return make_config(values)


@pytest.mark.parametrize("key", NUMBERS)
@pytest.mark.parametrize("value", [True, False])
def test_no_key_takes_a_boolean_for_a_number(key: str, value: bool) -> None:
    with pytest.raises(ConfigError, match=f"{key}: expected a (whole )?number, got {value}"):
        config_of(key, value)


@pytest.mark.parametrize("key", BOOLEANS)
@pytest.mark.parametrize("value", [0, 1, "3", 1.0])
def test_no_key_takes_a_number_for_a_boolean(key: str, value: Any) -> None:
    with pytest.raises(ConfigError, match=f"{key}: expected true or false, got {value!r}"):
        config_of(key, value)


def test_every_number_of_every_section_is_among_the_keys_tested() -> None:
    from emdist.settings.config import IngestSection, LabelsSection, NoiseSection, RunSection

    sections = {"model": ModelSection, "fit": FitSection, "run": RunSection,
                "cluster": ClusterSection, "labels": LabelsSection, "ingest": IngestSection,
                "model.noise": NoiseSection}  # fmt: skip
    for place, section in sections.items():
        for name, field in section.model_fields.items():
            of = str(field.annotation)
            if of.startswith(("<class 'int", "<class 'float", "int |", "float |")):
                assert f"{place}.{name}" in NUMBERS
            if of == "<class 'bool'>":
                assert f"{place}.{name}" in BOOLEANS


def test_text_is_a_number_where_yaml_writes_it_so() -> None:
    assert config_of("fit.tol", "1e-3").fit.tol == 1e-3  # YAML 1.1 has text there


OPTIONS: list[tuple[str, dict[str, Any], str]] = [
    ("full", {"reg_covar": True}, "reg_covar"),
    ("isotropic", {"variance": True}, "variance"),
    ("bernoulli", {"smoothing": True}, "smoothing"),
    ("binomial", {"trials": True}, "trials"),
    ("binomial", {"trials": [3, True]}, "trials"),
    ("categorical", {"categories": True}, "categories"),
    ("kmedians", {"bins": True}, "bins"),
]


@pytest.mark.parametrize(("name", "options", "key"), OPTIONS, ids=str)
def test_no_option_takes_a_boolean_for_a_number(
    name: str, options: dict[str, Any], key: str
) -> None:
    section = ModelSection(name=name, options=options)
    with pytest.raises(ConfigError, match=f"{key}: expected a (whole )?number"):
        make_model(section)


@pytest.mark.parametrize(
    ("schedule", "options"),
    [
        ("minibatch", {"groups": True}),
        ("incremental", {"groups": True}),
        ("stepwise", {"alpha": True}),
    ],
)
def test_no_schedule_takes_a_boolean_for_a_number(schedule: str, options: dict[str, Any]) -> None:
    fit = FitSection(schedule=schedule, schedule_options=options)
    with pytest.raises(ConfigError, match=r"expected a (whole )?number, got True"):
        Recipe(ModelSection(), fit).checked()


@pytest.mark.parametrize(
    "options",
    [
        {"kind": "local", "n_workers": True},
        {"kind": "local", "threads_per_worker": True},
        {"kind": "local", "processes": 0},
        {"kind": "address", "address": "tcp://127.0.0.1:1", "timeout": True},
        {"kind": "by_class", "cluster_class": "distributed.LocalCluster", "allow_any": 1},
        {"kind": "by_class", "cluster_class": "distributed.LocalCluster", "scale": True},
        {"kind": "threads", "threads": True},
    ],
    ids=str,
)
def test_no_cluster_takes_a_setting_of_another_kind(options: dict[str, Any]) -> None:
    key = list(options)[-1]
    section = ClusterSection(**options)
    with (
        pytest.raises(ConfigError, match=f"cluster.{key}: expected "),
        make_engine(
            section,
            source=None,  # type: ignore[arg-type]
        ),
    ):
        pass


@pytest.mark.parametrize("threads", [True, 1.5, "2", 0])
def test_threads_of_an_engine(threads: Any) -> None:
    with pytest.raises(ConfigError, match="threads"):
        LocalEngine(threads)


def test_a_configuration_file_is_told(tmp_path: Path) -> None:
    from emdist.settings.file import read_config

    (tmp_path / "c.yaml").write_text("data: {path: x.zarr}\nmodel: {n_components: true}\n")
    with pytest.raises(
        ConfigError, match=r"model\.n_components: expected a whole number, got True"
    ):
        read_config(tmp_path / "c.yaml")
