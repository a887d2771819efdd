"""``emdist uncertainty``: says how sure the model of a run is."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

import typer

from emdist.cli.options import Json, Quiet, Scheduler, Workers, cluster_settings
from emdist.report.answer import REPEAT, mode_of, print_result, reported
from emdist.report.display import display

Bootstrap = Annotated[
    int | None,
    typer.Option(
        metavar="N",
        min=2,
        show_default=False,
        help="Find standard errors by a bootstrap of N replicates. (default: by the information "
        "matrix)",
    ),
]
StabilityOf = Annotated[
    int | None,
    typer.Option(
        metavar="N",
        min=2,
        show_default=False,
        help="Also compare the labels of N other fits with those of the model.",
    ),
]
Over = Annotated[
    str,
    typer.Option(metavar="WHAT", help="What these fits differ in: starts, bootstrap or halves."),
]
Samples = Annotated[
    int | None,
    typer.Option(
        metavar="N",
        min=1,
        show_default=False,
        help="Also test for one component more, with N samples of the model.",
    ),
]


def uncertainty(
    run: Annotated[str, typer.Argument(help="The folder of a finished run, or a saved model.")],
    data: Annotated[
        str | None,
        typer.Option(
            metavar="PATH", show_default=False, help="The data. (default: those of the run)"
        ),
    ] = None,
    bootstrap: Bootstrap = None,
    stability: StabilityOf = None,
    over: Over = "starts",
    component_test: Samples = None,
    level: Annotated[float, typer.Option(help="Confidence level of intervals.")] = 0.95,
    seed: Annotated[int, typer.Option(min=0, help="Random seed.")] = 0,
    workers: Workers = None,
    scheduler: Scheduler = None,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Say how sure the model of a run is: standard errors, stability of labels, one component more.

    Standard errors take one pass by default. The others fit the model again many times, in shared
    passes; their cost is shown before they begin. What is found is stored with the run, as
    uncertainty.json.

    Examples:
      emdist uncertainty runs/profiles
      emdist uncertainty runs/profiles --bootstrap 200
      emdist uncertainty runs/profiles --stability 20 --over halves
      emdist uncertainty runs/profiles --component-test 99
    """
    mode = mode_of(quiet, as_json)
    with reported(as_json, REPEAT) as layer:
        from emdist.errors import ConfigError
        from emdist.jobs import uncertainty as job
        from emdist.report.page import show
        from emdist.settings.config import ClusterSection, NewDataSection, make_section
        from emdist.store.places.location import Location

        if not 0 < level < 1:
            raise ConfigError(f"--level {level}: expected a number between 0 and 1, such as 0.95.")
        if over not in job.OVER:
            raise ConfigError(f"--over {over}: expected {', '.join(job.OVER)}.")
        given = cluster_settings(workers, scheduler).get("cluster", {})
        cluster = make_section(ClusterSection, given, "the command line")
        place, other = Location(run), None if data is None else NewDataSection(path=data)
        asked = job.Asked(bootstrap, stability, over, component_test, level, seed)
        with display(mode, layer) as listen, job.opened(place, other, cluster, listen) as subject:
            found = job.answers(subject, asked)
        told = {name: one.to_dict() for name, one in found.items()}
        if data is None:
            job.store(place, told)
        pages = [one.page() for one in found.values()]
        first = replace(pages[0], facts=[("run", run), *pages[0].facts])
        print_result({"run": run, **told}, first, run, mode, layer)
        if mode not in ("json", "quiet"):
            for page in pages[1:]:
                show(page)
