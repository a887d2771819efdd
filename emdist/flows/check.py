"""`emdist flow check`: checks deployments or a configuration, without running anything."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from prefect.client.schemas.schedules import CronSchedule, IntervalSchedule, RRuleSchedule
from pydantic import BaseModel, ValidationError

from emdist.composition.daily_config import make_daily_config
from emdist.composition.sweep_config import make_sweep_config
from emdist.errors import ConfigError
from emdist.flows.ingest import Ingest
from emdist.flows.label import Labelling
from emdist.flows.workarounds.private import check_public
from emdist.inputs.plugins import nearest
from emdist.settings.config import make_config, make_section
from emdist.settings.file import overridden, read_values
from emdist.settings.templates import PLACES, Occasion, filled, has_templates

#: Flow -> what checks its parameter ``config``.
_FLOWS: Mapping[str, Callable[[Mapping[str, Any], str], BaseModel]] = {
    "emdist.flows.cluster.cluster": make_config,
    "emdist.flows.sweep.sweep": make_sweep_config,
    "emdist.flows.daily.daily": make_daily_config,
    "emdist.flows.label.label": lambda values, where: make_section(Labelling, values, where),
    "emdist.flows.ingest.ingest_files": lambda values, where: make_section(Ingest, values, where),
}
_KINDS = {"cron": CronSchedule, "interval": IntervalSchedule, "rrule": RRuleSchedule}
#: Keys of a schedule that say when it runs.
_WHEN = ("cron", "interval", "rrule", "timezone", "anchor_date", "day_or")


def run(path: str) -> None:
    """Check the file at `path`, and print what it has; raise ConfigError with every fault."""
    values, faults = read_values(path), []
    for name, check in _checks(values, path):
        try:
            for line in check():
                print(f"{name}: {line}")
        except ConfigError as error:
            faults.append(f"{name}: {error}")
    if faults:
        raise ConfigError("\n".join(faults))


def _checks(
    values: Mapping[str, Any], path: str
) -> Iterator[tuple[str, Callable[[], Sequence[str]]]]:
    if "deployments" not in values:
        yield path, lambda: _told(values, path, "DEPLOYMENT")
        return
    found = values["deployments"]
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        raise ConfigError(f"{path}: deployments is no list of mappings, as `prefect deploy` needs.")
    for one in found:
        entry = str(one.get("entrypoint", "")).replace(":", ".")
        name = f"{entry.rpartition('.')[2] or '?'}/{one.get('name', '?')}"
        yield name, lambda one=one, entry=entry: _deployment(one, entry)  # type: ignore[misc]


def _deployment(values: Mapping[str, Any], entry: str) -> Sequence[str]:
    """Check one deployment with each of its schedules; return what to print."""
    if entry not in _FLOWS:
        return [f"not checked: {entry!r} is no flow of emdist{nearest(entry, _FLOWS)}"]
    own = values.get("parameters") or {}
    schedules = values.get("schedules") or []
    lines = [f"settings are valid{_given(own, entry, values)}"]
    for number, one in enumerate(schedules, 1):
        when, zone = _schedule(one, number)
        parameters = {**own, **(one.get("parameters") or {})}
        lines.append(f"schedule {number} ({when}, {zone}){_given(parameters, entry, values)}")
        key = ((parameters.get("config") or {}).get("run") or {}).get("key")
        numbered = entry == "emdist.flows.daily.daily"  # It numbers the runs of the series.
        if key and not numbered and not has_templates({"run": {"key": key}}):
            lines.append(
                f"note: run.key {key!r} is the same each time, so only the first run of schedule "
                f"{number} does anything while the data stay the same"
            )
    return lines


def _given(parameters: Mapping[str, Any], entry: str, deployment: Mapping[str, Any]) -> str:
    """Check the parameters of a flow; return what their templates give now."""
    unknown = [name for name in parameters if name not in ("config", "set")]
    if unknown:
        raise ConfigError(f"unknown parameter {unknown[0]!r}; expected config and set.")
    values = overridden(
        parameters.get("config") or {}, parameters.get("set") or (), "the parameter set"
    )
    check_public(_FLOWS[entry](values, "parameters.config"))
    return _examples(values, _FLOWS[entry], str(deployment.get("name", "")))


def _told(values: Mapping[str, Any], path: str, deployment: str) -> Sequence[str]:
    """Check a configuration of any flow; return what to print."""
    if "sweep" in values:
        entry = "emdist.flows.sweep.sweep"
    elif "daily" in values:
        entry = "emdist.flows.daily.daily"
    else:
        entry = f"emdist.flows.{'label.label' if 'out' in values else 'cluster.cluster'}"
    make = _FLOWS[entry]
    make(values, path)
    return [f"settings are valid{_examples(values, make, deployment)}"]


def _examples(
    values: Mapping[str, Any],
    make: Callable[[Mapping[str, Any], str], BaseModel],
    deployment: str,
) -> str:
    now = Occasion(datetime.now(UTC), "00000000-0000-0000-0000-000000000000", deployment)
    found = filled(values, now)
    make(found, "the filled configuration")
    if not has_templates(values):
        return ""
    places = [one.rpartition(".") for one in PLACES]
    texts = [
        f"{section}{dot}{key} {at[key]}"
        for section, dot, key in places
        if isinstance(at := found.get(section) if section else found, Mapping)
        and isinstance(at.get(key), str)
    ]
    return f"; a run for now has {', '.join(texts)}"


def _schedule(values: Any, number: int) -> tuple[str, str]:
    """Check a schedule; return when it runs and its time zone."""
    kinds = [kind for kind in _KINDS if isinstance(values, dict) and values.get(kind)]
    if len(kinds) != 1:
        raise ConfigError(f"schedule {number}: expected exactly one of cron, interval and rrule.")
    try:
        # Prefect takes the keys of other kinds for mistakes.
        _KINDS[kinds[0]](**{key: values[key] for key in _WHEN if values.get(key) is not None})
    except (ValidationError, ValueError) as error:
        first = error.errors()[0]["msg"] if isinstance(error, ValidationError) else str(error)
        raise ConfigError(
            f"schedule {number}: {kinds[0]} {values[kinds[0]]!r}, timezone "
            f"{values.get('timezone')!r}: {first}. Correct it before you deploy."
        ) from None
    return f"{kinds[0]} {values[kinds[0]]}", str(values.get("timezone") or "UTC")
