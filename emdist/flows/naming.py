"""Names of flow runs and titles of their artifacts: data, model, number of components, key."""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from typing import Any

from prefect.context import FlowRunContext
from prefect.runtime import flow_run
from pydantic import BaseModel

from emdist.composition.daily_config import DailyConfig
from emdist.composition.sweep_config import SweepConfig
from emdist.flows.templates import occasion
from emdist.settings.config import Config
from emdist.settings.file import overridden
from emdist.settings.templates import filled

#: Names that Prefect makes up. Another name was given by a person, who wants to see it.
_MADE_UP = re.compile(r"[a-z]+-[a-z]+")


def run_name() -> str:
    """Return the name of the current flow run. It never fails, because the flow would."""
    name = str(flow_run.name)
    if not _MADE_UP.fullmatch(name):
        return name
    try:
        context = FlowRunContext.get()
        parameters = (context.parameters if context is not None else None) or {}
        return _name(parameters, name)
    except Exception:  # noqa: BLE001  the flow tells what is wrong
        return name


def _name(parameters: dict[str, Any], name: str) -> str:
    asked: BaseModel = parameters["config"]
    values = overridden(asked.model_dump(exclude_unset=True), parameters.get("set") or ())
    config = type(asked).model_validate(filled(values, occasion()))
    if isinstance(config, DailyConfig):
        return f"{title(config)} {occasion().scheduled:%Y-%m-%dT%H:%M}"
    key = getattr(getattr(config, "run", None), "key", None)
    return f"{title(config)} {key or name}"


def title(config: Any) -> str:
    """Return what a flow works on and how, such as ``pixels kmeans-8``."""
    if isinstance(config, SweepConfig):
        numbers = config.sweep.n_components
        families = "+".join(config.sweep.families or [config.model.name])
        return f"{_stem(config.data.path)} {families}-{min(numbers)}..{max(numbers)}"
    if isinstance(config, DailyConfig):
        return f"{_stem(config.data.path)} {config.what()} {config.series}"
    if isinstance(config, Config):
        return f"{_stem(config.data.path)} {config.what()}"
    if hasattr(config, "out"):
        return f"{_stem(config.data.path)} by {_stem(config.model)}"
    return f"{_stem(config.source)} to {_stem(config.target)}"


def _stem(path: str) -> str:
    return PurePosixPath(path.rstrip("/")).stem
