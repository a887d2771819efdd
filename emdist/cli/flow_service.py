"""``emdist flow worker`` and ``emdist flow setup``: run flows as a service."""

from __future__ import annotations

from typing import Annotated

import typer

from emdist.cli.flow_options import calling, leave

Pool = Annotated[
    str, typer.Option(metavar="NAME", help="Name of the work pool, whose type is process.")
]


def worker(
    pool: Pool = "emdist",
    limit: Annotated[
        int | None,
        typer.Option(
            metavar="N", min=1, help="Most flow runs at once. (default: the limit of the pool)"
        ),
    ] = None,
    grace: Annotated[
        float,
        typer.Option(
            metavar="SECONDS",
            min=0.0,
            help="Time that flow runs have to save when the worker ends. Give the container or "
            "service a few seconds more.",
        ),
    ] = 60.0,
    name: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="Name of the worker. (default: those of machine and process)"
        ),
    ] = None,
) -> None:
    """Run the flow runs of a work pool, as a Prefect worker that ends gently.

    On SIGTERM or Ctrl-C, it takes no more flow runs. Those that it has save a checkpoint and are
    scheduled again: another worker continues them, or the next start of this one.

    Examples:
      emdist flow worker
      emdist flow worker --pool emdist --limit 2 --grace 100
    """
    with calling():
        from emdist.flows.worker import run

        code = run(pool, limit, grace, name)
    leave(code)


def setup(
    pool: Pool = "emdist",
    limit: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=1,
            help="Most flow runs of the pool at once. (default: leave it as it is)",
        ),
    ] = None,
    retries: Annotated[
        int,
        typer.Option(
            metavar="N",
            min=0,
            help="How often a flow run that crashed is retried within a day. Then it is marked as "
            "failed.",
        ),
    ] = 5,
    retry_delay: Annotated[
        float,
        typer.Option(
            metavar="SECONDS",
            min=20.0,
            help="Time from a crash to its retry. At least 20, because a worker may report the "
            "crash once more.",
        ),
    ] = 60.0,
    start_timeout: Annotated[
        float,
        typer.Option(
            metavar="SECONDS",
            min=30.0,
            help="Time after which a flow run that a worker took, but that did not begin, counts "
            "as crashed.",
        ),
    ] = 600.0,
    notify: Annotated[
        str | None,
        typer.Option(
            metavar="TYPE/NAME",
            help="Notification block of Prefect that tells of flow runs that crashed or failed, "
            "such as slack-webhook/operators. (default: leave it as it is)",
        ),
    ] = None,
) -> None:
    """Set up a work pool, and automations that mark, retry and report its broken flow runs.

    Run it again to change the settings: nothing is created twice. Set
    PREFECT_FLOWS_HEARTBEAT_FREQUENCY to the same value here and where flows run.

    Examples:
      emdist flow setup --limit 2
      emdist flow setup --pool emdist --retries 3 --notify slack-webhook/operators
    """
    with calling():
        from emdist.flows.setup import Care, heartbeat_of_settings, run

        beat = heartbeat_of_settings()
        code = run(Care(pool, limit, beat, start_timeout, retries, retry_delay, notify))
    leave(code)
