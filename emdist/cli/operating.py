"""Options of ``emdist fit`` and ``emdist sweep`` for those who operate them: overlaps and logs."""

from __future__ import annotations

from typing import Annotated

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
