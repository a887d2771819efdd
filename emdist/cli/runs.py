"""``emdist runs``: lists, shows, compares and deletes runs."""

from __future__ import annotations

import json
import sys
from typing import Annotated, Any

import typer

from emdist.cli.options import EPILOG, Command, Json, command_group, completed, help_text
from emdist.cli.runs_options import (
    Model,
    Older,
    Run,
    Runs,
    State,
    Storage,
    location,
    wanted_runs,
)
from emdist.errors import ConfigError
from emdist.report.answer import REPEAT, reported
from emdist.report.lines import finite, say
from emdist.report.page import show as show_page

app = command_group()

_FOLDER = "runs"
#: What `--sort` accepts, and the attribute of a run that it stands for.
_SORTS = {"started": "started", "ended": "ended", "run": "key", "state": "state",
          "model": "model", "iterations": "iterations", "objective": "objective",
          "rows": "rows", "size": "bytes"}  # fmt: skip
#: The order of these is from the largest or latest on.
_DESCENDING = ("started", "ended", "iterations", "rows", "bytes")


def _runs() -> None:
    """List, show, compare and delete runs.

    Runs are in local folders or object stores.

    Examples:
      emdist runs ls
      emdist runs show runs/pixels
      emdist runs compare runs/pixels runs/other
      emdist runs rm --older-than 30d --keep-model --dry-run
    """


def ls(
    folder: Annotated[
        str, typer.Argument(help="Folder or URL that contains runs, or one run.")
    ] = _FOLDER,
    state: State = None,
    older: Older = None,
    model: Model = None,
    sort: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help=f"Sort by one of: {', '.join(_SORTS)}.",
            autocompletion=completed(*_SORTS),
        ),
    ] = "started",
    storage: Storage = None,
    as_json: Json = False,
) -> None:
    """List the runs, sweeps and label stores in a folder, the newest first.

    This reads the listing of the folder and a few small files of each run, and no checkpoints.

    Examples:
      emdist runs ls
      emdist runs ls --state interrupted --state failed
      emdist runs ls s3://bucket/runs --older-than 30d --sort size
    """
    with reported(as_json, REPEAT):
        from emdist.jobs.runs.listing import list_runs
        from emdist.report.runs import page_of_runs

        found, others = list_runs(location(folder, storage), wanted_runs(state, older, model))
        values = _sorted([info.to_dict() for info in found], sort)
        if as_json:
            say(json.dumps(finite({"runs": values, "other_folders": others})))
        else:
            show_page(page_of_runs(values, others))


def show(
    run: Run,
    full: Annotated[
        bool,
        typer.Option("--full", metavar="", help="Also show all settings, versions and hashes."),
    ] = False,
    storage: Storage = None,
    as_json: Json = False,
) -> None:
    """Show one run: its state, what it takes on disk, and what `emdist inspect` shows.

    A run that is damaged or being deleted is shown as far as it can be read.

    Examples:
      emdist runs show runs/profiles
      emdist runs show s3://bucket/runs/profiles --full
    """
    with reported(as_json, REPEAT):
        from emdist.jobs.runs.showing import show_run
        from emdist.report.inspection import page_of_inspection
        from emdist.report.page import Page
        from emdist.report.runs import page_of_run

        found = show_run(location(run, storage))
        if as_json:
            say(json.dumps(finite(found)))
            return
        inspected = found["inspected"]
        rest = page_of_inspection(inspected, full) if inspected else Page([])
        show_page(page_of_run(found, found["parts"], rest))


def compare(
    runs: Runs = None,
    labels: Annotated[
        bool,
        typer.Option(
            "--labels/--no-labels", metavar="", help="Read the labels of all rows and compare them."
        ),
    ] = True,
    storage: Storage = None,
    as_json: Json = False,
) -> None:
    """Compare runs: settings that differ, results side by side, components and labels.

    The components of each run are matched to those of the first one, by locations and weights. If
    both have labels of the same rows, these are read once, and the adjusted Rand index and others
    say how well they agree. Runs of other data or models are compared as far as that has a meaning.

    Examples:
      emdist runs compare runs/pixels-8 runs/pixels-16
      emdist runs compare runs/monday runs/tuesday runs/wednesday --json
    """
    with reported(as_json, REPEAT) as layer:
        from emdist.jobs.runs.comparing import compare_runs
        from emdist.report.display import display
        from emdist.report.runs import page_of_comparison, pages_of_matches

        with display("quiet" if as_json else "auto", layer) as listen:
            found = compare_runs([location(run, storage) for run in runs or ()], labels, listen)
        if as_json:
            say(json.dumps(finite(found)))
            return
        for at, page in enumerate([page_of_comparison(found), *pages_of_matches(found)]):
            if at:
                say("")
            show_page(page)


Expired = Annotated[
    bool,
    typer.Option(
        "--expired",
        metavar="",
        help="Finished runs that have outlived the run.retention of their own configuration.",
    ),
]
KeepModel = Annotated[
    bool,
    typer.Option(
        "--keep-model",
        metavar="",
        help="Keep the model, the record and the summary. Checkpoints and labels in the folder of "
        "the run are deleted.",
    ),
]
KeepLabels = Annotated[
    bool,
    typer.Option(
        "--keep-labels", metavar="", help="With --keep-model: keep labels in the folder, too."
    ),
]
Force = Annotated[
    bool,
    typer.Option(
        "--force",
        metavar="",
        help="Also delete runs on which a process works, or may work. It then ends with an error.",
    ),
]
DryRun = Annotated[
    bool, typer.Option("--dry-run", metavar="", help="Show what would be deleted, and stop.")
]
Yes = Annotated[bool, typer.Option("--yes", "-y", metavar="", help="Do not ask.")]


def rm(
    runs: Runs = None,
    older: Older = None,
    state: State = None,
    model: Model = None,
    expired: Expired = False,
    keep_model: KeepModel = False,
    keep_labels: KeepLabels = False,
    force: Force = False,
    dry_run: DryRun = False,
    yes: Yes = False,
    storage: Storage = None,
    as_json: Json = False,
) -> None:
    """Delete runs.

    Only folders of runs are deleted, and in them only what emdist wrote itself. It names labels
    outside of the folder, and does not delete them. If the command is cut off, enter it again.

    With --older-than, --state, --model or --expired, RUN is a folder that contains runs (default:
    runs). Of these runs, emdist deletes those that meet all of the conditions.

    Examples:
      emdist runs rm runs/pixels
      emdist runs rm --older-than 30d --keep-model --dry-run
      emdist runs rm s3://bucket/runs --state failed --older-than 7d --yes
    """
    with reported(as_json, REPEAT):
        from emdist.jobs.runs.removal import KeptParts, removal_of, remove

        keep = KeptParts(keep_model, keep_labels)
        refused: list[tuple[Any, str]] = []
        places = [location(run, storage) for run in runs or ()]
        if expired or older is not None or state or model is not None:
            wanted = wanted_runs(state, older, model)
            places = places or [location(_FOLDER, storage)]
            removals, refused = _meeting(places, wanted, keep, force, expired)
        elif places:
            # All are checked before the first is deleted.
            removals = [removal_of(place, keep, force) for place in places]
        else:
            raise ConfigError(
                "Say which runs to delete: their folders, or a condition such as --older-than 30d."
            )
        for _, why in () if as_json else refused:
            say(f"emdist: {why}", sys.stderr)
        if not dry_run and removals and not yes:
            _ask(removals, as_json)
        done = removals if dry_run else [remove(one) for one in removals]
        _print_removals(done, [(info.path, why) for info, why in refused], not dry_run, as_json)


def _meeting(
    places: list[Any], wanted: Any, keep: Any, force: bool, expired: bool
) -> tuple[list[Any], list[tuple[Any, str]]]:
    """Return what to delete of the runs in `places` that meet conditions, and what is refused."""
    from emdist.jobs.runs.removal import expired_in, removals_in

    if expired and (keep.model or keep.labels):
        raise ConfigError(
            "--expired keeps of each run what its own configuration says "
            "(run.retention_keep_model), so leave out --keep-model and --keep-labels."
        )
    removals: list[Any] = []
    refused: list[tuple[Any, str]] = []
    for place in places:
        if expired:
            removals += expired_in(place, wanted)
            continue
        found, others = removals_in(place, wanted, keep, force)
        removals, refused = removals + found, refused + others
    return removals, refused


def _ask(removals: list[Any], as_json: bool) -> None:
    """Ask whether to delete; end the command if the answer is no."""
    from emdist.report.runs import page_of_removals

    if as_json or not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise ConfigError(
            f"This would delete {len(removals)} run(s), and nobody can be asked here. Pass --yes "
            "to delete them, or --dry-run to see what would be deleted."
        )
    show_page(page_of_removals([one.to_dict() for one in removals], done=False))
    typer.confirm("Delete?", abort=True)


def _print_removals(
    removals: list[Any], refused: list[tuple[str, str]], done: bool, as_json: bool
) -> None:
    from emdist.report.runs import page_of_removals

    values = [one.to_dict() for one in removals]
    if as_json:
        left = [{"run": path, "why": why} for path, why in refused]
        say(json.dumps({"deleted": done, "runs": values, "refused": left}))
    else:
        show_page(page_of_removals(values, done))


def _sorted(values: list[dict[str, Any]], sort: str) -> list[dict[str, Any]]:
    """Return runs in the order that `--sort` names; those without the value come last."""
    if sort not in _SORTS:
        raise ConfigError(f"--sort {sort[:40]!r} is not known; use one of {', '.join(_SORTS)}.")
    name = _SORTS[sort]
    known = [one for one in values if one[name] is not None]
    return [
        *sorted(known, key=lambda one: one[name], reverse=name in _DESCENDING),
        *(one for one in values if one[name] is None),
    ]


app.callback(help=help_text(_runs))(_runs)
for _command in (ls, show, compare, rm):
    app.command(cls=Command, epilog=EPILOG, help=help_text(_command))(_command)
