"""Options of ``emdist fit`` and ``emdist sweep`` for those who operate them: overlaps and logs."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from emdist.cli.options import RUN, choices_of

IfRunning = Annotated[
    str | None,
    typer.Option(
        metavar="WHAT",
        rich_help_panel=RUN,
        help="What to do if another process is working on the run: take_over, wait or skip. "
        "(default: take_over)",
        autocompletion=choices_of("run.if_running"),
    ),
]


def operated(extend: bool, if_running: str | None) -> dict[str, Any]:
    """Return the settings that ``--extend`` and ``--if-running`` stand for."""
    return {"run.extend": extend or None, "run.if_running": if_running}
