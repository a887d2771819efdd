"""The main job as a Prefect flow: survey, fit in segments, label, summarise."""

# No postponed annotations: Prefect cannot resolve them in a flow that it loads from its file, as
# `flow.serve` does.
import logging
from collections.abc import Callable, Sequence
from typing import Any, TypeVar, cast

from prefect import Task, flow, get_client, task
from prefect.cache_policies import NO_CACHE
from prefect.runtime import flow_run
from prefect.settings import PREFECT_API_URL

from emdist.build.compose import run_location
from emdist.errors import ConfigError, EngineError
from emdist.fit.events import Warned
from emdist.flows.private import FILE, check_public, held, joined, split, storage_options
from emdist.flows.script import Outcome, current, run_as_script, watched
from emdist.flows.server import prefect_api
from emdist.flows.telling import Teller, say, teller
from emdist.jobs.run import Job, open_job
from emdist.report.summary import Summary
from emdist.settings.config import Config, make_config
from emdist.settings.file import read_config

C = TypeVar("C", bound=Config)
#: Deployments that a message names.
_LISTED = 20


@flow(name="cluster", persist_result=False)
def cluster(config: Config) -> dict[str, Any]:
    """Fit a mixture to a Zarr array and label its rows; the same run key resumes.

    Parameters
    ----------
    config
        Without storage options: see `emdist.flows.private`. A run without a key has the flow run's
        id for one, so that a retry or a rescheduled pod resumes by itself.

    Returns
    -------
    dict
        JSON: ``run``, ``status``, ``iterations``, ``objective``, ``labels``, ``resumed_done``.
    """
    check_public(config)
    config = joined(make_config(config.model_dump()), storage_options())
    key = config.run.key or str(flow_run.id)
    outcome = current()
    outcome.advice = f"Go on with the same configuration and --key {key}"
    with outcome.working(), teller(key) as tell:
        say(logging.INFO, f"run folder {run_location(config, key)}; --key {key} resumes it")
        return _persistently(config, key, tell)


def _persistently(config: Config, key: str, tell: Teller) -> dict[str, Any]:
    """All stages, with a new cluster for as long as lost ones had got further than the last."""
    reached = 0
    while True:
        try:
            with open_job(config, key, tell) as job:
                if isinstance(job, Job):
                    return _stages(job, tell)
                return _brief(job, already_done=True)
        except EngineError as error:
            if tell.iterations <= reached:
                raise
            reached = tell.iterations
            tell(Warned(f"{error} Going on from the last checkpoint with a new cluster."))


def _stages(job: Job, tell: Teller) -> dict[str, Any]:
    """Each stage as a task that takes and returns nothing but small values."""
    held_back: dict[str, Any] = {}

    def survey() -> dict[str, Any]:
        return {"rows": job.survey()}

    def segment() -> dict[str, Any]:
        state = job.segment()
        return {"iterations": len(state.history), "finished": state.finished}

    def finish() -> dict[str, Any]:
        fitted = job.finish()
        return {"status": fitted.status.name.lower(), "objective": fitted.objective}

    def label() -> dict[str, Any]:
        # The sums are arrays: they stay here. Labels and their progress are in the store.
        held_back["labelled"] = job.label()
        return {"labels": str(job.target) if job.config.labels.write else None}

    def summarise() -> dict[str, Any]:
        summary = job.summarise(held_back["labelled"])
        tell.finished(summary.to_markdown(), _components(summary))
        return _brief({"run": summary.run, "result": summary.result, "labels": summary.labels})

    stage(survey)()
    part = stage(segment)
    while not part()["finished"]:
        pass
    stage(finish)()
    stage(label)()
    return stage(summarise)()


def stage(work: Callable[[], dict[str, Any]]) -> Task[[], dict[str, Any]]:
    """`work` as a task that is done anew each time and keeps no result."""
    # The default cache policy would take the second segment for the first. Results of tasks are
    # pickles that are not written atomically: the checkpoints are what counts.
    return task(name=work.__name__, cache_policy=NO_CACHE, persist_result=False)(work)


def _components(summary: Summary) -> list[dict[str, Any]]:
    return [
        {"component": k, "share": round(part["weight"], 6), "labelled": part["labelled"]}
        for k, part in enumerate(summary.components)
    ]


def _brief(summary: dict[str, Any], already_done: bool = False) -> dict[str, Any]:
    result = summary["result"]
    return {
        "run": summary["run"],
        "status": result["status"],
        "iterations": result["iterations"],
        "objective": result["objective"],
        "labels": summary["labels"],
        "already_done": already_done,
    }


def run(
    path: str, settings: Sequence[str] = (), key: str | None = None, deployment: str | None = None
) -> int:
    """The flow as a command.

    Parameters
    ----------
    path
        Of the YAML configuration.
    settings
        Laid over it: ``section.key=value``.
    key
        Names the run; the same key resumes it.
    deployment
        Submit the configuration to this deployment and do not run it here.

    Returns
    -------
    int
        The exit code of `emdist.errors`, 130 for Ctrl-C, 143 for SIGTERM.
    """
    outcome = Outcome()

    def call() -> None:
        config, options = split(keyed(read_config(path, settings), key))
        check_public(config)
        if deployment and not PREFECT_API_URL.value():
            raise ConfigError(
                "--deployment needs a Prefect server that goes on running, and PREFECT_API_URL is "
                "not set. Set it to the server's URL, http://127.0.0.1:4200/api for example."
            )
        with prefect_api():
            if deployment:
                _submit(deployment, config, options)
                return
            with held({**storage_options(), **options}), watched(outcome):
                _print(cluster(config))

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


def _submit(name: str, config: Config, options: Any) -> None:
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


def _print(done: dict[str, Any]) -> None:
    if done["already_done"]:
        print(f"The run is already done: {done['run']}. Use another key to fit again.")
    print(f"status      {done['status']} after {done['iterations']} iterations")
    print(f"objective   {done['objective']:.10g}")
    print(f"run folder  {done['run']}")
    print(f"labels      {done['labels'] or 'not written'}")
