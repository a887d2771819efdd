"""Fill the templates of a configuration from the flow run: scheduled time, id and deployment."""

from __future__ import annotations

import logging
from contextlib import AbstractContextManager
from contextvars import ContextVar
from datetime import UTC, datetime, tzinfo
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from prefect import get_client
from prefect.client.schemas.objects import FlowRun
from prefect.client.schemas.responses import DeploymentResponse
from prefect.context import FlowRunContext

from emdist.errors import ConfigError
from emdist.flows.telling import say
from emdist.runtime.contexts import set_to
from emdist.settings.templates import PLACES, Occasion, filled, has_templates

#: How messages name the parameter of flows that replaces single settings.
SET = "the parameter set"

#: The time that a command was given by ``--scheduled``; it replaces that of the flow run.
_given: ContextVar[datetime | None] = ContextVar("emdist_scheduled", default=None)


def scheduled_for(time: datetime | None) -> AbstractContextManager[None]:
    """Inside the block, flows of this process are scheduled for `time`."""
    return set_to(_given, time)


def parse_time(text: str, zone: tzinfo = UTC) -> datetime:
    """Return the time of ``--scheduled``, in `zone` unless it has one; raise ConfigError."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise ConfigError(
            f"--scheduled {text[:40]!r} is no time. Expected a date such as 2026-11-30, or a time "
            "such as 2026-11-30T02:00 or 2026-11-30T02:00+01:00."
        ) from None
    return found if found.tzinfo else found.replace(tzinfo=zone)


def current_run() -> FlowRun:
    """Return the flow run in which this is called."""
    context = FlowRunContext.get()
    if context is None or not isinstance(context.flow_run, FlowRun):
        raise RuntimeError("this is not called in a flow run")
    return context.flow_run


def occasion() -> Occasion:
    """Return the values of templates for the current flow run."""
    run = current_run()
    deployment = None if run.deployment_id is None else _deployment(run.deployment_id)
    time = _given.get()
    if time is None:
        zone = UTC if deployment is None else zone_of(deployment, run)
        time = (run.expected_start_time or datetime.now(UTC)).astimezone(zone)
    return Occasion(time, str(run.id), None if deployment is None else deployment.name)


def zone_of(deployment: DeploymentResponse, run: FlowRun | None = None) -> tzinfo:
    """Return the time zone of the schedule that made the flow run.

    For a run by hand it is that of all schedules of the deployment. It is UTC if they differ, or
    if there are none.
    """
    creator = getattr(run, "created_by", None)
    own = [one for one in deployment.schedules if creator is not None and one.id == creator.id]
    names = {
        getattr(one.schedule, "timezone", None) or "UTC" for one in own or deployment.schedules
    }
    return ZoneInfo(names.pop()) if len(names) == 1 else UTC


def _deployment(found: UUID) -> DeploymentResponse:
    with get_client(sync_client=True) as client:
        return client.read_deployment(found)


def with_values(values: dict[str, Any]) -> dict[str, Any]:
    """Return the configuration of a flow with its templates filled, and log what they give."""
    if not _braces(values):
        return values
    now = occasion()
    found = filled(values, now)
    if has_templates(values):
        given = ", ".join(f"{place} {_at(found, place)}" for place in PLACES if _at(found, place))
        zone = now.scheduled.tzinfo
        say(logging.INFO, f"scheduled for {now.scheduled:%Y-%m-%d %H:%M:%S} ({zone}): {given}")
    return found


def _braces(values: dict[str, Any]) -> bool:
    return any("{" in text or "}" in text for p in PLACES if (text := _at(values, p)))


def _at(values: dict[str, Any], place: str) -> str:
    section, _, key = place.rpartition(".")
    found = (values.get(section) or {}).get(key) if section else values.get(key)
    return found if isinstance(found, str) else ""
