"""The page of ``emdist inspect``: the result first, and hashes only if they are asked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from rich.filesize import decimal

from emdist.parameters.configuration import CONFIGURATION
from emdist.report.page import Page, listed_steps, page_of
from emdist.report.stored import page_of_stored
from emdist.settings.config import Config

#: Facts that come first, in this order.
_FIRST = (
    "kind",
    "run",
    "progress",
    "schedule",
    "result",
    "done",
    "labels_complete",
    "blocks_damaged",
)
#: Facts that are shown only with `full`.
_DETAILS = ("versions", "plan", "checkpoint", "created")
_LAST_ITERATIONS = 3
#: Facts that are the sizes of an array or of its chunks.
_SIZES = ("shape", "chunks", "shards")


def page_of_inspection(found: Mapping[str, Any], full: bool = False) -> Page:
    """Return a page of facts about a run, a model, labels or an array.

    Parameters
    ----------
    found
        The result of `emdist.jobs.inspect.inspect`.
    full
        Whether to show also settings with their default values, versions and hashes.
    """
    stored = page_of_stored(found["summary"]) if found.get("summary") else None
    table = stored or Page([])
    ordered = {**{key: found[key] for key in _FIRST if key in found}, **found}
    ordered.pop("summary", None)
    if full:
        if "config" in ordered:
            ordered["config"] = _complete(ordered["config"])
        facts = [*page_of(_readable(ordered)).facts, *_means(table)]
        return Page(facts, table.header, table.rows)
    shown = {key: value for key, value in ordered.items() if key not in _DETAILS}
    if "config" in shown:
        shown["config"] = changed_settings(shown["config"])
    if isinstance(shown.get("data"), dict):
        shown["data"] = {k: v for k, v in shown["data"].items() if k in ("array", "shape", "dtype")}
    if "history" in shown:
        shown["history"] = shown["history"][-_LAST_ITERATIONS:]
    facts = [*page_of(_readable(_without_hashes(shown))).facts, *_means(table)]
    page = Page(facts, table.header, table.rows)
    if shown.keys() == ordered.keys():
        return page
    more = ("more", "emdist inspect --full shows all settings, versions and hashes")
    return replace(page, facts=[*page.facts, more])


def _means(page: Page) -> list[tuple[str, str]]:
    """Return the facts of a summary about means, with the lines that continue them."""
    found, inside = [], False
    for name, text in page.facts:
        inside = name == "means" or (inside and not name)
        if inside:
            found.append((name, text))
    return found


def _readable(value: Any, name: str = "") -> Any:
    """Return JSON values with yes and no, separators in large numbers, and sizes in bytes."""
    if isinstance(value, dict):
        # The values of settings are shown as they are written in a configuration.
        return {k: v if k == "config" else _readable(v, k) for k, v in value.items()}
    if isinstance(value, list):
        return " x ".join(f"{n:,}" for n in value) if name in _SIZES else value
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return decimal(value) if "bytes" in name.split("_") else f"{value:,}"
    return value


def _defaults() -> dict[str, Any]:
    """Return the default of every key of a configuration that has one, by section."""
    found = Config.model_validate({"data": {"path": ""}}).model_dump()
    del found["data"]["path"]
    return found


def _complete(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return a recorded configuration with the defaults of the keys that it leaves open."""
    least = _defaults()
    out: dict[str, Any] = {}
    for section, values in config.items():
        if not isinstance(values, dict):
            out[section] = listed_steps(values) if section == "prepare" else values
            continue
        # A model knows how its data were read, but not where they are or how they were weighted.
        alone = section == "data" and "path" not in values
        whole = values if alone else {**least.get(section, {}), **values}
        out[section] = {key: _default(section, key, value) for key, value in whole.items()}
    return out


def _default(section: str, key: str, value: Any) -> Any:
    """Return a value, or the table's words for the default of a key without one."""
    if value is not None:
        return value
    told = CONFIGURATION.get(f"{section}.{key}")
    words = told.default.rstrip(".") if told is not None else ""
    return f"default: {words}" if words else "none"


def changed_settings(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of a recorded configuration that differ from their defaults."""
    least = _defaults()
    if config.get("model", {}).get("name") != "kmeans" and "sweep" not in config:
        least["fit"]["schedule"] = "batch"  # What 'auto' is for other models.
    always = {("model", "name"), ("fit", "seed")}
    if "sweep" not in config:
        always.add(("model", "n_components"))
    return {
        section: {
            key: value
            for key, value in values.items()
            if (section, key) in always or value != least.get(section, {}).get(key)
        }
        if isinstance(values, dict)
        else (listed_steps(values) if section == "prepare" else values)
        for section, values in config.items()
    }


def facts_of_settings(config: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return settings as names and values, such as ``fit.seed`` and ``7``."""
    return [
        (name, value)
        for name, value in page_of(_without_hashes(config)).facts
        if name not in ("data.path", "data.array")
    ]


def _without_hashes(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    return {k: _without_hashes(v) for k, v in value.items() if not k.endswith("sha256")}
