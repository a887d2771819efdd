"""The table of parameters, and everything that is made of it."""

from __future__ import annotations

import inspect
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from emdist.composition.sweep_config import SweepConfig
from emdist.fit.criteria import CRITERIA
from emdist.inputs.plugins import plugins
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
from tools.parameters import SHIPPED, estimators, main, sections

#: Keys whose choices are the plug-ins of a package, and those that are no plug-ins.
PLUGINS = {
    "model.name": (FAMILIES, "family", {"kmeans", "kmedians", "kcentroids"}),
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
    others = {"cluster.threads", "model.noise.weight", "model.noise.volume"}
    assert set(CONFIGURATION) == keys | others


@pytest.mark.parametrize("key", PLUGINS)
def test_choices_are_the_plugins_that_there_are(key: str) -> None:
    package, constant, others = PLUGINS[key]
    assert set(CONFIGURATION[key].choices) == {*plugins(package, constant), *others}


def test_choices_of_literals_and_criteria() -> None:
    assert set(CONFIGURATION["sweep.criterion"].choices) == set(CRITERIA)
    schema: Any = SweepConfig.model_json_schema()["$defs"]
    for place, known in CONFIGURATION.items():
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
    assert schema["FitSection"]["properties"]["schedule"]["enum"][0] == "batch"
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
