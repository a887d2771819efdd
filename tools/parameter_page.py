"""Makes ``docs/parameters.md``, the reference of all parameters, from the table and dataclasses."""

from __future__ import annotations

import inspect
import re
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, fields
from typing import Any

from pydantic import BaseModel

from emdist.engines.dask.tls import Tls
from emdist.families.full import Full
from emdist.families.gaussian.normal_wishart import NormalWishart
from emdist.inputs.plugins import plugins
from emdist.models.kmedians import KMediansModel
from emdist.parameters.configuration import CONFIGURATION
from emdist.parameters.entry import Parameter
from emdist.prepare.making import STEPS
from emdist.settings.config import (
    ASSIGNMENTS,
    CLUSTERS,
    DISSIMILARITIES,
    FAMILIES,
    SCHEDULES,
    WEIGHTS,
    Config,
)
from emdist.wording import OPTIONS

#: Options of commands that set a key without being its value, or set more than one key.
MORE_OPTIONS: Mapping[str, str] = {
    "cluster.kind": "`--workers` (local), `--scheduler` (address)",
    "run.folder": "`--run`, with `run.key`: FOLDER/KEY",
    "run.key": "`--run`, with `run.folder`: FOLDER/KEY",
    "run.extend": "`--extend`",
    "prepare": "`--prepare`, once for each step",
    "labels.write": "`--no-labels`",
    "labels.outputs": "`--output` of `emdist label`",
    "labels.components": "`--component` of `emdist label`",
    "labels.overwrite": "`--overwrite` of `emdist label`",
}
#: Parameters in Python that set a key, where the names differ.
PYTHON: Mapping[str, tuple[str, ...]] = {
    "model.n_components": ("n_components", "n_clusters"),
    "fit.seed": ("random_state",),
    "fit.init": ("init", "init_params"),
}
#: What Python has instead of a parameter of the constructor.
INSTEAD: Mapping[str, str] = {
    "data.path": "`X` of `fit`",
    "data.weights": "`sample_weight` of `fit`",
    "model.name": "the class, and `covariance_type`",
    "model.weights": "`weight_concentration_prior` and `weight_concentration_prior_type`",
    "model.weights_options": "`weight_concentration_prior`",
    "model.noise.weight": "`noise`",
    "model.noise.volume": "`noise_volume`",
    "model.missing": "`non_finite='missing'`",
    "model.options": "one parameter for each option; see [below](#options-of-models)",
    "fit.start": "`init` of models with centres; `weights_init`, `means_init`, `precisions_init`, "
    "`probabilities_init`, `rates_init` of mixtures",
    "cluster.kind": "`engine`",
    "sweep.n_components": "`param_grid` of `Sweep`",
    "sweep.families": "`param_grid` of `Sweep`",
}
#: Names in Python of options of models, where they differ.
PYTHON_OPTIONS: Mapping[str, str] = {
    "trials": "n_trials",
    "categories": "n_categories",
    "prior": "mean_prior, mean_precision_prior, degrees_of_freedom_prior, covariance_prior",
}
_HEAD = """\
# Parameters

This page lists every key of a configuration. Each entry names the option of the command line that
sets the key, if there is one; `--set` sets any key. It also names the parameter in Python for the
same setting, and the default in Python, which is scikit-learn's and may differ from the default of
the configuration. Parameters that only Python has are in the docstrings of the estimators.

The [options of models](#options-of-models), of [assignments, weights and
schedules](#options-of-assignments-weights-and-schedules) and of [clusters](#keys-of-clusters) have
sections of their own."""


def page(sections: Mapping[str, Any], defaults: Any, written: Any, classes: list[type[Any]]) -> str:
    """Return the page.

    `sections` has the class of each section, `defaults` returns the keys of one with their
    defaults, and `written` returns a value as YAML.
    """
    lines = [_HEAD]
    for name, kind in sections.items():
        if name == "model":
            lines += ["", "## prepare", "", *_prepare(written, classes)]
        lines += ["", f"## {name}"]
        for key, default in defaults(name, kind).items():
            place = f"{name}.{key}"
            lines += ["", *_entry(place, CONFIGURATION[place], kind, default, written, classes)]
        if name == "model":
            lines += ["", "### Options of models", "", *_options_of_models()]
            lines += ["", "### Options of assignments, weights and schedules", ""]
            lines += _options_of_methods()
        if name == "cluster":
            lines += ["", "### Keys of clusters", "", *_keys_of_clusters()]
    return "\n".join(lines) + "\n"


def _prepare(written: Any, classes: list[type[Any]]) -> Iterator[str]:
    """Yield the entry of the list of steps, and a table of their options."""
    known = CONFIGURATION["prepare"]
    yield from _entry("prepare", known, Config, [], written, classes)
    yield from ["", "### Options of steps", ""]
    yield from textwrap.wrap(
        "A step with options is a mapping of its name to them, as in `{pca: {components: 8, "
        "whiten: true}}`. Options that are left out have these defaults. The step log1p has none.",
        100,
    )
    yield from _table("step", "option", _step_rows())


def _step_rows() -> Iterator[tuple[str, ...]]:
    for name, cls in plugins(STEPS, "step").items():
        yield from _rows(f"`{name}`", cls, meanings(cls))


def _entry(
    place: str,
    known: Parameter,
    kind: type[BaseModel],
    value: Any,
    written: Any,
    classes: list[type[Any]],
) -> Iterator[str]:
    field = kind.model_fields.get(place.rpartition(".")[2])
    default = known.default or ("" if value is None else f"`{written(value)}`")
    needed = field is not None and field.is_required()
    yield f"**`{place}`** {known.shown_type}  "
    yield "Required.  " if needed else f"Default: {default.rstrip('.') or 'none'}.  "
    option = MORE_OPTIONS.get(place) or (f"`{OPTIONS[place]}`" if place in OPTIONS else "")
    if option:
        yield f"Command line: {option}.  "
    if told := INSTEAD.get(place) or in_python(place, classes):
        yield f"Python: {told}.  "
    yield from textwrap.wrap(known.sentences, 100)
    if any(known.choices.values()):
        yield ""
        for choice, what in known.choices.items():
            yield f"- `{choice}`: {what}" if what else f"- `{choice}`"


def in_python(place: str, classes: list[type[Any]]) -> str:
    """Return the parameters in Python for the key at `place`, with their defaults by class."""
    told = []
    for name in PYTHON.get(place, (place.rpartition(".")[2],)):
        found: dict[str, list[str]] = {}
        for cls in classes:
            parameter = inspect.signature(cls).parameters.get(name)
            if parameter is not None:
                found.setdefault(repr(parameter.default), []).append(cls.__name__)
        if place.startswith(("run.", "labels.", "cluster.", "ingest.")) or not found:
            continue
        first, *rest = sorted(found, key=lambda one: -len(found[one]))
        other = "; ".join(f"`{one}` for {', '.join(found[one])}" for one in rest)
        told.append(f"`{name}` (default `{first}`{'; ' + other if other else ''})")
    return ", ".join(told)


def meanings(cls: type[Any]) -> dict[str, str]:
    """Return what a dataclass says of each field, in its docstring or that of a parent."""
    found: dict[str, str] = {}
    for one in reversed(cls.__mro__):
        body = re.search(
            r"^(?:Attributes|Parameters)\n-+\n(.*)",
            inspect.cleandoc(one.__doc__ or ""),
            re.M | re.S,
        )
        entries = re.findall(r"^(\w[\w, ]*)\n((?:(?: +.*)?\n?)+)", body[1] if body else "", re.M)
        for names, told in entries:
            found |= {name.strip(): " ".join(told.split()) for name in names.split(",")}
    return found


def _table(first: str, second: str, rows: Iterator[tuple[str, ...]]) -> Iterator[str]:
    """Return a table with one row for all owners of the same option."""
    owners: dict[tuple[str, ...], list[str]] = {}
    for owner, *rest in rows:
        owners.setdefault(tuple(rest), []).append(owner)
    yield from ["", f"| {first} | {second} | default | meaning |", "|---|---|---|---|"]
    for cells, names in owners.items():
        yield f"| {', '.join(names)} | {' | '.join(cells)} |"


def _rows(
    owner: str, cls: type[Any], told: Mapping[str, str], prefix: str = ""
) -> Iterator[tuple[str, ...]]:
    for field in fields(cls):
        if not field.init or (cls is KMediansModel and field.name == "precision"):
            continue
        default = "required" if _required(field) else f"`{_default(field)}`"
        # Docstrings have Python's words, and the page those of a configuration.
        meaning = re.sub(r"\bNone\b", "null", told[field.name].replace("|", "\\|"))
        meaning = re.sub(r"\bFalse\b", "false", meaning.replace("``", "`"))
        yield owner, f"`{prefix}{field.name}`", default, meaning


def _required(field: Any) -> bool:
    return field.default is MISSING and field.default_factory is MISSING


def _default(field: Any) -> Any:
    value = field.default if field.default is not MISSING else field.default_factory()
    if isinstance(value, NormalWishart):
        return "{}"
    words = {None: "null", True: "true", False: "false", (): "[]"}
    return words.get(value, value) if value is None or isinstance(value, bool | tuple) else value


def _options_of_models() -> Iterator[str]:
    python = "; ".join(f"`{key}` is {_code(name)}" for key, name in PYTHON_OPTIONS.items())
    yield from textwrap.wrap(
        "These are the keys of `model.options`. In Python, each is a parameter of the estimator of "
        f"the same name, except: {python}; `matrix` and `covariance` are keys of "
        "`dissimilarity_options`. The default of `variance` in Python is 1. Models that are not "
        "in this table have no options.",
        100,
    )
    yield from _table("model", "option", _model_rows())


def _model_rows() -> Iterator[tuple[str, ...]]:
    for name, cls in plugins(FAMILIES, "family").items():
        yield from _rows(f"`{name}`", cls, meanings(Full) | meanings(cls))
    yield from _rows("`kmedians`", KMediansModel, meanings(KMediansModel))
    for name, cls in plugins(DISSIMILARITIES, "dissimilarity").items():
        yield from _rows(f"`kcentroids`, {name}", cls, meanings(cls))
    yield from _rows("Gaussians of all kinds", NormalWishart, meanings(NormalWishart), "prior.")


def _code(names: str) -> str:
    return ", ".join(f"`{name}`" for name in names.split(", "))


def _options_of_methods() -> Iterator[str]:
    yield from textwrap.wrap(
        "These are the keys of `model.assignment_options`, `model.weights_options` and "
        "`fit.schedule_options`. Methods that are not in this table have no options.",
        100,
    )
    yield from _table("method", "option", _method_rows())


def _method_rows() -> Iterator[tuple[str, ...]]:
    for package, kind in (
        (ASSIGNMENTS, "assignment"),
        (WEIGHTS, "weights"),
        (SCHEDULES, "schedule"),
    ):
        for name, cls in plugins(package, kind).items():
            yield from _rows(f"{kind} `{name}`", cls, meanings(cls))


def _keys_of_clusters() -> Iterator[str]:
    yield from textwrap.wrap(
        "Each kind of cluster has keys of its own in the section `cluster`, beside those above. "
        "`--workers N` sets kind local and `n_workers`; `--scheduler ADDRESS` sets kind address "
        "and `address`.",
        100,
    )
    yield from _table("kind", "key", _cluster_rows())


def _cluster_rows() -> Iterator[tuple[str, ...]]:
    for name, cls in plugins(CLUSTERS, "cluster").items():
        yield from _rows(f"`{name}`", cls, meanings(cls))
    yield from _rows("all three", Tls, meanings(Tls), "tls.")
