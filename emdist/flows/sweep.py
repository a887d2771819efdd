"""A sweep as a Prefect flow: survey, fits of many models in segments, scores, labels, summary."""

# No postponed annotations: Prefect cannot resolve them in a flow that it loads from its file, as
# `flow.serve` does.
import logging
import math
from collections.abc import Sequence
from typing import Any

from prefect import flow
from prefect.runtime import flow_run

from emdist.build.sweep_config import SweepConfig, make_sweep_config
from emdist.errors import EngineError
from emdist.fit.events import Warned
from emdist.flows.cluster import keyed, stage
from emdist.flows.private import check_public, held, joined, split, storage_options
from emdist.flows.script import Outcome, current, run_as_script, watched
from emdist.flows.server import prefect_api
from emdist.flows.telling import Teller, say, teller
from emdist.jobs.sweep import SweepJob, open_sweep
from emdist.quality.ranking import Row
from emdist.settings.file import overridden, read_values


@flow(name="sweep", persist_result=False)
def sweep(config: SweepConfig) -> dict[str, Any]:
    """Fit many models in the same reads of a Zarr array, and choose one; a run key resumes.

    Parameters
    ----------
    config
        Without storage options: see `emdist.flows.private`. A run without a key has the flow run's
        id for one, so that a retry or a rescheduled pod resumes by itself.

    Returns
    -------
    dict
        JSON: ``run``, ``best``, ``criterion``, ``models``, ``labels``, ``already_done``.
    """
    check_public(config)
    config = joined(make_sweep_config(config.model_dump()), storage_options())
    key = config.run.key or str(flow_run.id)
    outcome = current()
    outcome.advice = f"Go on with the same configuration and --key {key}"
    with outcome.working(), teller(key) as tell:
        say(logging.INFO, f"run folder {config.location(key)}; --key {key} resumes it")
        return _persistently(config, key, tell)


def _persistently(config: SweepConfig, key: str, tell: Teller) -> dict[str, Any]:
    """All stages, with a new cluster for as long as lost ones had got further than the last."""
    reached = 0
    while True:
        try:
            with open_sweep(config, key, tell) as job:
                if isinstance(job, SweepJob):
                    return _stages(job, tell)
                return _brief(job, already_done=True)
        except EngineError as error:
            if tell.iterations <= reached:
                raise
            reached = tell.iterations
            tell(Warned(f"{error} Going on from the last checkpoint with a new cluster."))


def _stages(job: SweepJob, tell: Teller) -> dict[str, Any]:
    """Each stage as a task that takes and returns nothing but small values."""

    def survey() -> dict[str, Any]:
        return {"rows": job.survey()}

    def segment() -> dict[str, Any]:
        state = job.segment()
        return {"iterations": state.iterations, "finished": state.finished}

    def finish() -> dict[str, Any]:
        rows = job.finish()
        return {"models": len(rows), "best": rows[job.best].name}

    def label() -> dict[str, Any]:
        job.label()
        return {"labels": str(job.target) if job.config.labels.write else None}

    def summarise() -> dict[str, Any]:
        summary = job.summarise()
        table = [_line(row) for row in summary.models]
        about = f"{len(table)} models; best by {summary.criterion}: {summary.best}"
        tell.published(summary.to_page().to_markdown(), "models", table, about)
        return _brief(summary.to_dict())

    stage(survey)()
    part = stage(segment)
    while not part()["finished"]:
        pass
    stage(finish)()
    stage(label)()
    return stage(summarise)()


def _line(row: Row) -> dict[str, Any]:
    numbers = {"objective": row.objective, **row.criteria}
    return {
        "model": row.name,
        "components": row.n_components,
        **{name: None if math.isnan(value) else value for name, value in numbers.items()},
        "iterations": row.iterations,
        "converged": row.converged,
        "on the floor": len(row.degenerate),
    }


def _brief(summary: dict[str, Any], already_done: bool = False) -> dict[str, Any]:
    return {
        "run": summary["run"],
        "best": summary["best"],
        "criterion": summary["criterion"],
        "models": len(summary["models"]),
        "labels": summary["labels"],
        "already_done": already_done,
    }


def run(path: str, settings: Sequence[str] = (), key: str | None = None) -> int:
    """The flow as a command; parameters and exit codes as `emdist.flows.cluster.run`."""
    outcome = Outcome()

    def call() -> None:
        values = overridden(read_values(path), settings)
        config, options = split(keyed(make_sweep_config(values, path), key))
        check_public(config)
        with prefect_api(), held({**storage_options(), **options}), watched(outcome):
            _print(sweep(config))

    return run_as_script(call, outcome)


def _print(done: dict[str, Any]) -> None:
    if done["already_done"]:
        print(f"The run is already done: {done['run']}. Use another key to sweep again.")
    print(f"best        {done['best']} of {done['models']} models, by {done['criterion']}")
    print(f"run folder  {done['run']}")
    print(f"labels      {done['labels'] or 'not written'}")
