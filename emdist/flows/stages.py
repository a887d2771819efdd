"""What flows of a fit and of a sweep share: the run of a key, its stages as tasks, the command."""

# No postponed annotations: Prefect cannot resolve them in a flow that it loads from its file, as
# `flow.serve` does.
import logging
from collections.abc import Callable
from typing import Any, TypeVar, cast

from prefect import Task, get_client, task
from prefect.cache_policies import NO_CACHE
from prefect.runtime import flow_run
from prefect.settings import PREFECT_API_URL

from emdist.composition.make import run_location
from emdist.errors import ConfigError, EngineError
from emdist.fit.events import Warned
from emdist.flows.private import FILE, check_public, held, split, storage_options
from emdist.flows.script import Outcome, current, run_as_script, watched
from emdist.flows.server import prefect_api
from emdist.flows.telling import Teller, say, teller
from emdist.jobs.job import Job
from emdist.jobs.run import open_job
from emdist.settings.config import Config

C = TypeVar("C", bound=Config)
#: Publishes the summary of a job as artifacts.
Publish = Callable[[Any, Teller], None]
#: Deployments that a message names.
_LISTED = 20


def perform(config: Config, publish: Publish) -> tuple[dict[str, Any], bool]:
    """All stages of the run of `config`: its summary, and whether it was done before."""
    key = config.run.key or str(flow_run.id)
    outcome = current()
    outcome.advice = f"Go on with the same configuration and --key {key}"
    with outcome.working(), teller(key) as tell:
        say(logging.INFO, f"run folder {run_location(config, key)}; --key {key} resumes it")
        return _persistently(config, key, publish, tell)


def _persistently(
    config: Config, key: str, publish: Publish, tell: Teller
) -> tuple[dict[str, Any], bool]:
    """All stages, with a new cluster for as long as lost ones had got further than the last."""
    reached = 0
    while True:
        try:
            with open_job(config, key, tell) as job:
                return (_stages(job, publish, tell), False) if isinstance(job, Job) else (job, True)
        except EngineError as error:
            if tell.iterations <= reached:
                raise
            reached = tell.iterations
            tell(Warned(f"{error} Going on from the last checkpoint with a new cluster."))


def _stages(job: Job[Any, Any], publish: Publish, tell: Teller) -> dict[str, Any]:
    """Each stage as a task that takes and returns nothing but small values."""
    held_back: dict[str, Any] = {}

    def survey() -> dict[str, Any]:
        return {"rows": job.survey()}

    def segment() -> dict[str, Any]:
        state = job.segment()
        return {"iterations": state.iterations, "finished": state.finished}

    def finish() -> dict[str, Any]:
        job.finish()
        fitted = job.fitted
        return {"status": fitted.status.name.lower(), "objective": fitted.objective}

    def label() -> dict[str, Any]:
        # The sums are arrays: they stay here. Labels and their progress are in the store.
        held_back["labelled"] = job.label()
        return {"labels": str(job.target) if job.config.labels.write else None}

    def summarise() -> dict[str, Any]:
        summary = job.summarise(held_back["labelled"])
        publish(summary, tell)
        held_back["summary"] = summary.to_dict()  # with a part for each component
        return {"run": held_back["summary"]["run"]}

    _stage(survey)()
    part = _stage(segment)
    while not part()["finished"]:
        pass
    _stage(finish)()
    _stage(label)()
    _stage(summarise)()
    found: dict[str, Any] = held_back["summary"]
    return found


def _stage(work: Callable[[], dict[str, Any]]) -> Task[[], dict[str, Any]]:
    """`work` as a task that is done anew each time and keeps no result."""
    # The default cache policy would take the second segment for the first. Results of tasks are
    # pickles that are not written atomically: the checkpoints are what counts.
    return task(name=work.__name__, cache_policy=NO_CACHE, persist_result=False)(work)


def run_command(
    read: Callable[[], Config],
    flow: Callable[[Any], dict[str, Any]],
    show: Callable[[dict[str, Any]], None],
    deployment: str | None = None,
) -> int:
    """A flow as a command.

    Parameters
    ----------
    read
        Gives the configuration.
    flow
        Takes it.
    show
        Prints what the flow returns.
    deployment
        Submit the configuration to this deployment and do not run it here.

    Returns
    -------
    int
        The exit code of `emdist.errors`, 130 for Ctrl-C, 143 for SIGTERM.
    """
    outcome = Outcome()

    def call() -> None:
        config, options = split(read())
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
                show(flow(config))

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
