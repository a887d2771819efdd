"""Run a flow as a command: check its parameter, keep secrets out, return an exit code."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

from prefect import get_client
from prefect.settings import PREFECT_API_URL
from pydantic import BaseModel

from emdist.errors import ConfigError
from emdist.flows.private import FILE, Options, check_public, held, split, storage_options
from emdist.flows.script import Outcome, run_as_script, watched
from emdist.flows.server import prefect_api
from emdist.settings.config import Config

C = TypeVar("C", bound=Config)
#: Number of deployments that a message names.
_LISTED = 20


def run_command(
    read: Callable[[], BaseModel],
    flow: Callable[[Any], dict[str, Any]],
    show: Callable[[dict[str, Any]], None],
    deployment: str | None = None,
    storage: str | None = None,
) -> int:
    """A flow as a command.

    Parameters
    ----------
    read
        Gives the parameter of the flow, checked.
    flow
        Takes it.
    show
        Prints what the flow returns.
    deployment
        Submit the parameter to this deployment and do not run it here.
    storage
        Path of a YAML file with storage options by section.

    Returns
    -------
    int
        The exit code of `emdist.errors`, 130 for Ctrl-C, 143 for SIGTERM.
    """
    outcome = Outcome()

    def call() -> None:
        config, options = split(read())
        check_public(config)
        if deployment and not PREFECT_API_URL.value():
            raise ConfigError(
                "--deployment needs a Prefect server that goes on running, and PREFECT_API_URL is "
                "not set. Set it to the server's URL, http://127.0.0.1:4200/api for example."
            )
        private = {} if deployment else {**storage_options(storage), **options}
        with prefect_api(), held(private), watched(outcome):
            if deployment:
                _submit(deployment, config, options)
            else:
                show(flow(config))

    return run_as_script(call, outcome)


def keyed(config: C, key: str | None) -> C:
    """`config` with the run key of the command line; ConfigError if it names another."""
    if key is None or key == config.run.key:
        return config
    if config.run.key is not None:
        raise ConfigError(
            f"the configuration names the run {config.run.key!r} (run.key), and --key {key!r}; "
            "leave one out."
        )
    return config.model_copy(update={"run": config.run.model_copy(update={"key": key})})


def _submit(name: str, config: BaseModel, options: Options) -> None:
    from prefect.client.schemas.objects import FlowRun
    from prefect.deployments import run_deployment
    from prefect.exceptions import ObjectNotFound

    if options:
        raise ConfigError(
            f"storage_options of {', '.join(options)} cannot be sent to a deployment: Prefect "
            f"stores and shows parameters. Put them in the file that {FILE} names on the worker."
        )
    parameters = {"config": config.model_dump(mode="json")}
    try:
        run = cast(FlowRun, run_deployment(name, parameters=parameters, timeout=0))
    except ObjectNotFound:
        with get_client(sync_client=True) as client:
            known = [one.name for one in client.read_deployments(limit=_LISTED)]
        raise ConfigError(
            f"--deployment: the server has no deployment {name!r}; wanted FLOW/NAME, where NAME is "
            f"one of {', '.join(sorted(set(known))) or 'none, because nothing is deployed yet'}."
        ) from None
    print(f"submitted flow run {run.id} ({run.name})")
