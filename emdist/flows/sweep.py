"""`emdist flow sweep`: a Prefect flow that fits several models and labels with the best."""

# Annotations are not postponed: Prefect cannot resolve them in a flow that it loads from its file,
# as `flow.serve` does.
import math
from collections.abc import Sequence
from shlex import quote
from typing import Any

from prefect import flow

from emdist.composition.sweep_config import SweepConfig, make_sweep_config
from emdist.flows.command import keyed, run_command
from emdist.flows.ending import ended
from emdist.flows.naming import run_name
from emdist.flows.stages import perform
from emdist.flows.telling import Teller
from emdist.quality.ranking import Row
from emdist.report.sweep import SweepSummary
from emdist.settings.file import overridden, read_values


@flow(name="sweep", persist_result=False, flow_run_name=run_name)
def sweep(config: SweepConfig, set: list[str] | None = None) -> dict[str, Any]:
    """Fit several models to a Zarr array and choose the best. The same run key resumes a run.

    Parameters
    ----------
    config
        The configuration, without storage options (see `emdist.flows.workarounds.private`). If it
        has no run key, the id of the flow run is the key, so that a retry or a rescheduled pod
        resumes. Templates are filled as by `emdist.flows.cluster.cluster`.
    set
        Settings that replace those of the configuration, as ``section.key=value``.

    Returns
    -------
    dict
        JSON values: ``run``, ``best``, ``criterion``, ``models``, ``labels``, ``already_done``.
    """
    return ended(lambda: _sweep(config, set or ()))


def _sweep(config: SweepConfig, settings: Sequence[str]) -> dict[str, Any]:
    summary, before = perform(config, settings, make_sweep_config, _publish)
    return {
        "run": summary["run"],
        "best": summary["best"],
        "criterion": summary["criterion"],
        "models": len(summary["models"]),
        "labels": summary["labels"],
        "already_done": before,
    }


def _publish(summary: SweepSummary, tell: Teller) -> None:
    table = [_line(row) for row in summary.models]
    about = f"{len(table)} models. The best by {summary.criterion} is {summary.best}."
    tell.published(summary.to_page().to_markdown(), "models", table, about)


def _line(row: Row) -> dict[str, Any]:
    numbers = {"score": row.score, **row.criteria}
    return {
        "model": row.name,
        "components": row.n_components,
        **{name: None if math.isnan(value) else value for name, value in numbers.items()},
        "iterations": row.iterations,
        "converged": row.converged,
        "on the floor": len(row.degenerate),
    }


def run(
    path: str,
    settings: Sequence[str] = (),
    key: str | None = None,
    deployment: str | None = None,
    scheduled: str | None = None,
) -> int:
    """Run the flow as a command; see `emdist.flows.cluster.run`."""

    def read() -> SweepConfig:
        return keyed(make_sweep_config(overridden(read_values(path), settings), path), key)

    return run_command(read, sweep, _print, deployment, scheduled=scheduled)


def _print(done: dict[str, Any]) -> None:
    if done["already_done"]:
        print("This run is already complete. To sweep again, use another --key.")
    print(f"best        {done['best']} of {done['models']} models, by {done['criterion']}")
    print(f"labels      {done['labels'] or 'not written'}")
    print(f"run folder  {done['run']}")
    print(f"next        emdist inspect {quote(done['run'])}")
