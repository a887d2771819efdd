"""Run the stages of a fit or sweep as Prefect tasks."""

# Annotations are not postponed: Prefect cannot resolve them in a flow that it loads from its file,
# as `flow.serve` does.
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from prefect.runtime import flow_run

from emdist.composition.make import run_location
from emdist.errors import AccessDeniedError, EngineError
from emdist.fit.events import Warned
from emdist.flows.assets import stage
from emdist.flows.ending import check_late
from emdist.flows.naming import title
from emdist.flows.reporting import report
from emdist.flows.script import current
from emdist.flows.telling import Teller, say, teller
from emdist.flows.templates import SET, current_run, with_values
from emdist.flows.workarounds.private import Options, check_public, joined, storage_options
from emdist.jobs.job import Job
from emdist.jobs.run import open_job
from emdist.report.forecast import page_of_forecast
from emdist.settings.config import Config
from emdist.settings.file import overridden
from emdist.store.places.location import Location

C = TypeVar("C", bound=Config)
T = TypeVar("T")

#: A function that publishes the summary of a job as artifacts.
Publish = Callable[[Any, Teller], None]


def perform(
    asked: Config, settings: Sequence[str], make: Callable[..., Config], publish: Publish
) -> tuple[dict[str, Any], bool]:
    """Run all stages of `asked`; return the summary, and whether the run was complete before.

    `settings` replace those of `asked`, and `make` checks a configuration as the command line does.
    """
    config = completed(asked, settings, make)
    key = config.run.key or str(flow_run.id)
    advice = f"To continue, start it again with the same configuration and --key {key}"
    with told(config, key, advice) as tell:
        say(logging.INFO, f"run folder {run_location(config, key)}; to resume it, use --key {key}")

        def work(options: Options) -> tuple[dict[str, Any], bool]:
            return persistently(joined(config, options), key, publish, tell)

        return renewing(work, tell)


def completed(asked: C, settings: Sequence[str], make: Callable[..., C]) -> C:
    """Return the configuration of a flow with `settings`, templates and storage options.

    Raises
    ------
    ConfigError
        If it is not valid, or has a secret.
    SkippedError
        If the flow run is late.
    """
    check_public(asked)
    values = overridden(asked.model_dump(exclude_unset=True), settings, SET)
    changed = make(values)
    check_public(changed)
    check_late(current_run(), changed.run.skip_late)
    return _patient(joined(make(with_values(values)), storage_options()))


@contextmanager
def told(config: Config, key: str, advice: str) -> Iterator[Teller]:
    """Yield what tells Prefect of the work inside. `advice` says how to go on after an end."""
    outcome = current()
    outcome.advice = advice
    with outcome.working(), teller(key, title(config)) as tell:
        tell.tagged(["emdist", config.model.name])
        yield tell


def _patient(config: C) -> C:
    """Return `config`, which waits in a retry instead of skipping.

    The process that is at work may be the attempt before, which is saving what it has done.
    """
    if config.run.if_running != "skip" or int(flow_run.run_count) < 2:
        return config
    return config.model_copy(update={"run": config.run.model_copy(update={"if_running": "wait"})})


def renewing(work: Callable[[Options], T], tell: Teller) -> T:
    """Return the result of `work`, which gets the storage options of this environment.

    If a store denies access and there are other options now, because credentials have expired and
    were renewed, do the work again with these. It continues from what it has stored.
    """
    options = storage_options()
    while True:
        try:
            return work(options)
        except AccessDeniedError as error:
            renewed = storage_options()
            if renewed == options:
                raise
            options = renewed
            tell(Warned(f"{error} There are new storage options now: it continues with these."))


def persistently(
    config: Config, key: str, publish: Publish, tell: Teller
) -> tuple[dict[str, Any], bool]:
    """Run all stages, with a new cluster after a lost one, as long as each gets further."""
    reached = 0
    while True:
        try:
            with open_job(config, key, tell) as job:
                return (_stages(job, publish, tell), False) if isinstance(job, Job) else (job, True)
        except EngineError as error:
            if tell.iterations <= reached:
                raise
            reached = tell.iterations
            tell(Warned(f"{error} The run continues from the last checkpoint with a new cluster."))


def _stages(job: Job[Any, Any], publish: Publish, tell: Teller) -> dict[str, Any]:
    """Run each stage as a task, which returns only small values; return the summary."""
    held_back: dict[str, Any] = {}

    def survey() -> dict[str, Any]:
        return {"rows": job.survey()}

    def segment() -> dict[str, Any]:
        state = job.segment()
        return {"iterations": state.iterations, "finished": state.finished}

    def finish() -> dict[str, Any]:
        job.finish()
        fitted = job.fitted
        return {"status": fitted.status.outcome, "objective": fitted.objective}

    def label() -> dict[str, Any]:
        # The sums are arrays and stay in this process. Labels and their progress are stored.
        held_back["labelled"] = job.label()
        return {"labels": str(job.target) if job.config.labels.write else None}

    def summarise() -> dict[str, Any]:
        summary = job.summarise(held_back["labelled"])
        publish(summary, tell)
        report(job.run.folder.location, tell)
        held_back["summary"] = summary.to_dict()  # Too large to return: a part per component.
        return {"run": held_back["summary"]["run"]}

    def plan() -> dict[str, Any]:
        found = job.foresee()
        tell.planned(page_of_forecast(found).to_markdown())
        return {"seconds": found["seconds"]}

    data = Location(job.config.data.path)
    model = job.run.folder.location.child("final")
    if job.is_foreseeable(auto=True):
        stage(plan)()
    stage(survey)()
    part = stage(segment)
    while not part()["finished"]:
        pass
    stage(finish, model, "model", (data,))()
    stage(label, job.target if job.config.labels.write else None, "labels", (model, data))()
    stage(summarise)()
    found: dict[str, Any] = held_back["summary"]
    return found
