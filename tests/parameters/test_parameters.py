"""The table of parameters, and everything that is made of it."""

from __future__ import annotations

import dataclasses
import inspect
import json
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import yaml

import emdist
from emdist.composition.daily_config import DailyConfig
from emdist.composition.sweep_config import SweepConfig
from emdist.errors import ConfigError
from emdist.fit.criteria import CRITERIA
from emdist.inputs.plugins import plugins
from emdist.parameters import choices
from emdist.parameters.configuration import CONFIGURATION
from emdist.parameters.models import OTHER_FAMILIES
from emdist.parameters.variants import VARIANTS, entry
from emdist.settings.config import (
    ASSIGNMENTS,
    CLUSTERS,
    DISSIMILARITIES,
    FAMILIES,
    SCHEDULES,
    SEEDERS,
    WEIGHTS,
    Config,
    make_config,
    make_section,
)
from tools.parameter_page import in_python
from tools.parameters import ROOT, SHIPPED, estimators, main, sections

#: Keys whose choices are the plug-ins of a package, and those that are no plug-ins.
PLUGINS = {
    "model.name": (FAMILIES, "family", {"kmeans", "kmedians", "kcentroids", "hmm"}),
    "model.assignment": (ASSIGNMENTS, "assignment", set()),
    "model.weights": (WEIGHTS, "weights", set()),
    "model.dissimilarity": (DISSIMILARITIES, "dissimilarity", set()),
    "fit.init": (SEEDERS, "seeder", set()),
    "fit.schedule": (SCHEDULES, "schedule", set()),
    "cluster.kind": (CLUSTERS, "cluster", {"threads"}),
}


def test_what_is_made_of_the_table_is_up_to_date(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(check=True) == 0, f"run python -m tools.parameters: {capsys.readouterr().out}"


def test_the_table_has_every_key_and_no_other() -> None:
    keys = {f"{name}.{key}" for name, kind, _ in sections() for key in kind.model_fields}
    others = {
        "cluster.threads",
        "prepare",
        "model.noise.weight",
        "model.noise.volume",
        "model.chain.start",
        "model.chain.start_prior",
        "model.chain.transition_prior",
        "model.emission",
        "model.dissimilarity_options",
    }
    assert set(CONFIGURATION) == keys | others


@pytest.mark.parametrize("key", PLUGINS)
def test_choices_are_the_plugins_that_there_are(key: str) -> None:
    package, constant, others = PLUGINS[key]
    assert set(CONFIGURATION[key].choices) == {*plugins(package, constant), *others}


def test_choices_of_literals_and_criteria() -> None:
    assert set(CONFIGURATION["sweep.criterion"].choices) == set(CRITERIA)
    schema: Any = {
        name: one
        for cls in (SweepConfig, DailyConfig)
        for name, one in cls.model_json_schema()["$defs"].items()
    }
    for place, known in CONFIGURATION.items():
        if place == "prepare":  # It is a list, and no section.
            continue
        name, _, key = place.partition(".")
        cls = next((kind.__name__ for one, kind, _ in sections() if one == name), "")
        stated = schema[cls]["properties"].get(key, {}) if "." not in key else {}
        literal = next((one["enum"] for one in stated.get("anyOf", ()) if "enum" in one), None)
        if literal is not None:
            assert set(literal) == set(known.choices), place


@pytest.mark.parametrize("cls", estimators(), ids=lambda cls: cls.__name__)
def test_every_parameter_says_type_meaning_and_default(cls: type[Any]) -> None:
    told = inspect.getdoc(cls) or ""
    for name, parameter in inspect.signature(cls).parameters.items():
        known = entry(cls.__name__, name)
        assert known.shown_type
        assert known.meaning.endswith(".")
        if known.choices and isinstance(parameter.default, str):
            assert parameter.default in known.choices, name
        if parameter.default is not parameter.empty:
            assert f"\n{name} : " in told, name
    assert "As in" not in told.partition("Attributes\n")[0]


def test_variants_are_of_parameters_that_there_are() -> None:
    known = {cls.__name__: set(inspect.signature(cls).parameters) for cls in estimators()}
    for cls, name in VARIANTS:
        assert name in known[cls], (cls, name)


def test_the_reference_is_a_configuration_of_defaults() -> None:
    values = yaml.safe_load((SHIPPED / "reference.yaml").read_text())
    found = make_config(values)
    least = make_config({"data": {"path": "features.zarr"}})
    assert found.model_copy(update={"cluster": least.cluster}) == least


def test_forms_offer_choices_and_descriptions() -> None:
    schema: Any = SweepConfig.model_json_schema()["$defs"]
    assert schema["FitSection"]["properties"]["schedule"]["enum"][0] == "auto"
    assert None in schema["FitSection"]["properties"]["init"]["enum"]
    for section in schema.values():
        for key, one in section["properties"].items():
            assert one["description"], key


ACCEPTED: list[dict[str, Any]] = [
    *({"model": {"name": name}}
      for name in (*CONFIGURATION["model.name"].choices, *OTHER_FAMILIES)),
    *({"model": {"name": "full", "noise": noise}}
      for noise in (True, False, None, 0.1, "yes", "On", "NO", "off", {}, {"weight": 0.1})),
    *({"model": {"dissimilarity": None, "assignment": name}}
      for name in CONFIGURATION["model.assignment"].choices),
    *({"model": {"name": "kcentroids", "dissimilarity": name}}
      for name in CONFIGURATION["model.dissimilarity"].choices),
    *({"fit": {"init": name}} for name in (None, *CONFIGURATION["fit.init"].choices)),
    *({"sweep": {"n_components": found}} for found in ("2..16", "2,4", ["2..8", 12], [2, 4])),
    *({"sweep": {"n_components": [2], "criterion": name}}
      for name in (None, *CONFIGURATION["sweep.criterion"].choices)),
    {"sweep": {"n_components": [2], "families": ["diag", "full"]}},
    {"sweep": {"n_components": [2], "memory": "1 GiB"}},
    {"data": {"path": "x.zarr", "variables": "TEMP", "features": "depth"}},
    {"data": {"path": "x.zarr", "variables": ["TEMP"], "samples": ["lat"]}},
    *({"data": {"path": "x.zarr", "where": where}}
      for where in ({"variable": "land", "below": 1}, [{"variable": "land", "equals": 0}], None)),
    {"data": {"path": "x.zarr", "storage_options": {"allow_http": True, "max_retries": 3}}},
    *({section: {key: None}} for section, key in (
        ("model", "options"), ("model", "assignment_options"), ("model", "weights_options"),
        ("model", "dissimilarity_options"), ("fit", "schedule_options"),
        ("run", "storage_options"), ("labels", "storage_options"))),
    *({section: None} for section in ("model", "fit", "cluster", "run", "labels", "ingest")),
    {"run": {"key": 2024, "folder": 7}},
    {"run": {"key": True}},
    {"labels": {"path": 1.5}},
    {"ingest": {"source": 1, "columns": [1, "b"], "weight_column": 3}},
    *({"model": {"name": "kcentroids", "dissimilarity": "mahalanobis", key: {"matrix": [[1.0]]}}}
      for key in ("options", "dissimilarity_options")),
]  # fmt: skip


@pytest.mark.parametrize("sections", ACCEPTED, ids=str)
def test_the_schema_has_every_spelling_that_a_configuration_accepts(
    sections: dict[str, Any],
) -> None:
    jsonschema = pytest.importorskip("jsonschema")  # Prefect checks parameters with it.
    cls = SweepConfig if "sweep" in sections else Config
    values = {"data": {"path": "x.zarr"}, **sections}
    make_section(cls, values)
    jsonschema.validate(values, cls.model_json_schema())


@pytest.mark.parametrize(
    "sections",
    [
        {"model": {"name": "diagnal"}},
        {"model": {"noise": 0}},
        {"model": {"noise": "maybe"}},
        {"model": {"dissimilarity": "l1"}},
        {"sweep": {"n_components": []}},
        {"sweep": {"n_components": [0]}},
        {"model": {"dissimilarity_options": 3}},
        {"model": {"precision": 32}},
        {"data": {"path": None}},
        {"data": {"path": "x.zarr", "where": "land = 0"}},
        {"sweep": {"n_components": [2], "memory": []}},
        {"data": {"path": "x.zarr", "storage_options": {"region": None}}},
        {"fit": {"seed": None}},
    ],
    ids=str,
)
def test_the_schema_refuses_other_spellings(sections: dict[str, Any]) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    cls = SweepConfig if "sweep" in sections else Config
    values = {"data": {"path": "x.zarr"}, **sections}
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(values, cls.model_json_schema())


@pytest.mark.parametrize("path", sorted(SHIPPED.glob("*.yaml")), ids=lambda path: path.name)
def test_the_schema_accepts_every_shipped_configuration(path: Path) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    schema = json.loads((SHIPPED / "schema.json").read_text(encoding="utf-8"))
    jsonschema.validate(yaml.safe_load(path.read_text(encoding="utf-8")), schema)


def test_descriptions_of_sections_are_sentences() -> None:
    schema: Any = SweepConfig.model_json_schema()
    for one in (schema, *schema["$defs"].values()):
        assert one["description"].startswith(("This section ", "The configuration "))
        assert one["description"].endswith(".")


@pytest.mark.filterwarnings("ignore:The best restart had not converged")
@pytest.mark.parametrize("cls", estimators(), ids=lambda cls: cls.__name__)
def test_docstrings_offer_missing_values_only_where_a_fit_accepts_them(cls: type[Any]) -> None:
    names = inspect.signature(cls).parameters
    if "non_finite" not in names:
        return
    count = "n_components" if "n_components" in names else "n_clusters"
    x = np.random.default_rng(0).integers(0, 2, (40, 3)).astype(float)
    x[5, 1] = np.nan
    offered = "missing" in entry(cls.__name__, "non_finite").choices
    made = cls(**{count: 1, "non_finite": "missing", "max_iter": 1, "random_state": 0})
    if offered:
        made.fit(x)
        return
    with pytest.raises(ConfigError, match=r"(?i)missing"):
        made.fit(x)


def test_docstrings_and_types_offer_every_seeder() -> None:
    seeders = set(plugins(SEEDERS, "seeder"))
    for kind in (choices.CentreInit, choices.MixtureInit):
        assert seeders <= set(get_args(kind))
    for cls in estimators():
        for name in {"init", "init_params"} & set(inspect.signature(cls).parameters):
            told = entry(cls.__name__, name).docstring(name, "")
            assert [one for one in seeders if repr(one) not in told] == [], cls


def test_mixtures_offer_the_schedule_of_hard_assignment() -> None:
    for cls in estimators():
        if {"schedule", "assignment"} <= set(inspect.signature(cls).parameters):
            assert "minibatch" in entry(cls.__name__, "schedule").choices
    x = np.random.default_rng(0).normal(size=(40, 2))
    made = emdist.GaussianMixture(2, assignment="hard", schedule="minibatch", random_state=0)
    assert made.fit(x).n_iter_ >= 1


def test_the_page_has_every_key_of_clusters_and_every_option() -> None:
    page = (ROOT / "docs" / "parameters.md").read_text(encoding="utf-8")
    for package, kind in (
        (CLUSTERS, "cluster"),
        (FAMILIES, "family"),
        (DISSIMILARITIES, "dissimilarity"),
        (ASSIGNMENTS, "assignment"),
        (WEIGHTS, "weights"),
        (SCHEDULES, "schedule"),
    ):
        for name, cls in plugins(package, kind).items():
            for field in dataclasses.fields(cls):
                assert not field.init or f"| `{field.name}` | " in page, (name, field.name)
    assert "| `reg_covar` | `1e-06` |" in page
    assert "| `tls.ca_file` | required |" in page
    assert "**`model.noise.weight`** float  \nDefault: `0.05`." in page
    assert "**`model.weight`**" not in page


def test_the_page_tells_options_and_defaults_of_python() -> None:
    page = (ROOT / "docs" / "parameters.md").read_text(encoding="utf-8")
    for option in ("--workers", "--scheduler", "--no-labels", "--extend", "--run"):
        assert f"`{option}" in page, option
    classes = estimators()
    assert in_python("model.n_components", classes) == (
        "`n_components` (default `1`), `n_clusters` (default `8`)"
    )
    assert in_python("fit.seed", classes) == "`random_state` (default `None`)"
    assert in_python("fit.n_init", classes) == (
        "`n_init` (default `1`; `'auto'` for KCentroids, KMeans, KMedians, MiniBatchKMeans)"
    )
    assert in_python("run.folder", classes) == ""


def test_the_reference_names_inner_keys_below_the_outer_one() -> None:
    text = (SHIPPED / "reference.yaml").read_text(encoding="utf-8")
    assert "  noise: null\n  # noise:\n" in text
    assert "  #   weight: 0.05\n" in text
    assert "\n  dissimilarity_options: null\n" in text


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"matrx": [[1.0]]}, "model.dissimilarity_options.matrx is not a known key"),
        ({"matrix": "no"}, "model.dissimilarity_options.matrix: expected a list, got 'no'."),
        (3, "model.dissimilarity_options: expected a mapping, as in {key: value}, got 3."),
        ({}, "model.dissimilarity_options: mahalanobis needs exactly one of"),
    ],
)
def test_options_of_a_dissimilarity_are_named_as_written(options: Any, told: str) -> None:
    model = {"name": "kcentroids", "dissimilarity": "mahalanobis", "dissimilarity_options": options}
    with pytest.raises(ConfigError) as found:
        make_config({"data": {"path": "x.zarr"}, "model": model}, "run.yaml")
    assert str(found.value).startswith(f"run.yaml: {told}")
    assert "model.options" not in str(found.value)
