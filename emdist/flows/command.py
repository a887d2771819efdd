"""Run a flow as a command: check its parameter, keep secrets out, return an exit code."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

from prefect import get_client
from pydantic import BaseModel

from emdist.errors import ConfigError
from emdist.flows.script import Outcome, run_as_script, watched
from emdist.flows.templates import parse_time, scheduled_for, zone_of
from emdist.flows.workarounds.private import (
    FILE,
    Options,
    check_public,
    held,
    split,
    storage_options,
)
from emdist.flows.workarounds.server import needed_api, prefect_api
from emdist.settings.config import Config
from emdist.settings.templates import check_templates, has_templates

C = TypeVar("C", bound=Config)
#: Number of deployments that a message names.
_LISTED = 20


def run_command(
    read: Callable[[], BaseModel],
    flow: Callable[[Any], dict[str, Any]],
    show: Callable[[dict[str, Any]], None],
    deployment: str | None = None,
    storage: str | None = None,
    scheduled: str | None = None,
) -> int:
    """Run a flow as a command, and return its exit code.

    Parameters
    ----------
    read
        Returns the parameter of the flow, checked.
    flow
        The flow, which is called with this parameter.
    show
        Prints what the flow returns.
    deployment
        The deployment to which to submit the parameter, instead of running the flow here.
    storage
        The path of a YAML file with storage options by section.
    scheduled
        The time for which to run, instead of now: a date or a time, as ISO 8601 writes it.

    Returns
    -------
    int
        The exit code: one of `emdist.errors`, 130 after Ctrl-C, 143 after SIGTERM.
    """
    outcome = Outcome()

    def call() -> None:
        config, options = split(read())
        check_public(config)
        check_templates(config.model_dump())
        if deployment:
            needed_api("--deployment")
        private = {} if deployment else {**storage_options(storage), **options}
        time = None if scheduled is None else parse_time(scheduled)
        with prefect_api(), held(private), scheduled_for(time), watched(outcome):
            if deployment:
                _submit(deployment, config, options, scheduled)
            else:
                show(_result(flow, config, outcome))

    return run_as_script(call, outcome)


def _result(
    flow: Callable[[Any], dict[str, Any]], config: BaseModel, outcome: Outcome
) -> dict[str, Any]:
    """Return the result of a flow, or raise the error that ended it without one."""
    try:
        found = flow(config)
    except Exception:
        # Prefect raises an error of its own for a flow that returns the state Cancelled.
        if outcome.ended is None:
            raise
    if outcome.ended is not None:
        raise outcome.ended
    return found


def keyed(config: C, key: str | None) -> C:
    """Return `config` with the run key of the command line.

    Raises
    ------
    ConfigError
        If the configuration has another run key.
    """
    if key is None or key == config.run.key:
        return config
    if config.run.key is not None and not has_templates({"run": {"key": config.run.key}}):
        raise ConfigError(
            f"The configuration has run.key={config.run.key!r}, but --key is {key!r}. Leave one of "
            "them out."
        )
    return config.model_copy(update={"run": config.run.model_copy(update={"key": key})})


def _submit(name: str, config: BaseModel, options: Options, scheduled: str | None) -> None:
    from prefect.client.schemas.objects import FlowRun
    from prefect.deployments import run_deployment
    from prefect.exceptions import ObjectNotFound

    if options:
        raise ConfigError(
            f"The storage_options of {', '.join(options)} cannot be sent to a deployment, because "
            "Prefect stores and shows parameters. Put them into the file that the environment "
            f"variable {FILE} names on the worker."
        )
    parameters = {"config": config.model_dump(mode="json")}
    try:
        time = None
        if scheduled is not None:
            with get_client(sync_client=True) as client:
                zone = zone_of(client.read_deployment_by_name(name))
            time = parse_time(scheduled, zone)
        run = cast(
            FlowRun, run_deployment(name, parameters=parameters, timeout=0, scheduled_time=time)
        )
    except ObjectNotFound:
        with get_client(sync_client=True) as client:
            known = [one.name for one in client.read_deployments(limit=_LISTED)]
        raise ConfigError(
            f"--deployment: the server has no deployment {name!r}. {_expected(sorted(set(known)))}"
        ) from None
    print(f"Submitted flow run {run.id} ({run.name}).")


def _expected(known: list[str]) -> str:
    """Return which names of deployments were expected, as a sentence."""
    if not known:
        return "Nothing is deployed yet. Run `prefect deploy` first."
    return f"Expected FLOW/NAME, where NAME is one of {', '.join(known)}."
