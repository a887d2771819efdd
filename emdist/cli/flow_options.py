"""Options of ``emdist flow``, and what its commands have in common."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, NoReturn

import typer

from emdist.report.answer import REPEAT, reported
from emdist.runtime.extras import need

ConfigFile = Annotated[
    str,
    typer.Argument(
        metavar="CONFIG.yaml",
        help="File with the configuration. `emdist config quickstart` prints an example.",
    ),
]
Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Set any key of the configuration, as in fit.seed=7. Repeatable.",
    ),
]
Key = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="Name of the run. The same name resumes it. (default: the id of the flow run, which "
        "makes a new run)",
    ),
]
Deployment = Annotated[
    str | None,
    typer.Option(
        metavar="FLOW/NAME",
        help="Submit the configuration to this deployment of the server at PREFECT_API_URL. "
        "(default: run it here)",
    ),
]
Scheduled = Annotated[
    str | None,
    typer.Option(
        metavar="TIME",
        help="Time for which to run, as in 2026-11-30 or 2026-11-30T02:00+01:00. Templates such "
        "as {scheduled:%Y-%m-%d} are filled with it. (default: now)",
    ),
]
Storage = Annotated[
    str | None,
    typer.Option(
        metavar="FILE.yaml",
        help="File with storage options by section (data, model, labels). Prefect does not see "
        "them. (default: the file that EMDIST_STORAGE_OPTIONS names)",
    ),
]


@contextmanager
def calling() -> Iterator[None]:
    """Inside, Prefect can be imported and a flow be called; errors end the command."""
    with reported(False, REPEAT):
        need("prefect", "emdist flow")
        # Prefect catches interrupts, reports them and raises them again. None may be sent twice.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        yield


def leave(code: int) -> NoReturn:
    """End the process with the exit code of a flow."""
    from emdist.flows.script import leave as end

    end(code)
