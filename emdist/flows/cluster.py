"""`emdist flow cluster`: a Prefect flow that fits one model and labels the rows."""

# Annotations are not postponed: Prefect cannot resolve them in a flow that it loads from its file,
# as `flow.serve` does.
from collections.abc import Sequence
from shlex import quote
from typing import Any

from prefect import flow

from emdist.flows.command import keyed, run_command
from emdist.flows.ending import ended
from emdist.flows.naming import run_name
from emdist.flows.stages import perform
from emdist.flows.telling import Teller
from emdist.report.summary import Summary
from emdist.settings.config import Config, make_config
from emdist.settings.file import read_config


@flow(name="cluster", persist_result=False, flow_run_name=run_name)
def cluster(config: Config, set: list[str] | None = None) -> dict[str, Any]:
    """Fit one model to a Zarr array and label its rows. The same run key resumes a run.

    Parameters
    ----------
    config
        The configuration, without storage options (see `emdist.flows.workarounds.private`). If it
        has no run key, the id of the flow run is the key, so that a retry or a rescheduled pod
        resumes. Templates such as ``{scheduled:%Y-%m-%d}`` are filled in run.key, data.path and
        labels.path.
    set
        Settings that replace those of the configuration, as ``section.key=value``.

    Returns
    -------
    dict
        JSON values: ``run``, ``status``, ``iterations``, ``objective``, ``labels`` and
        ``already_done``. The flow ends as Completed with the name Skipped if it was skipped, and
        as Cancelled if another flow run has taken its run over.
    """
    return ended(lambda: _cluster(config, set or ()))


def _cluster(config: Config, settings: Sequence[str]) -> dict[str, Any]:
    summary, before = perform(config, settings, make_config, _publish)
    result = summary["result"]
    return {
        "run": summary["run"],
        "status": result["status"],
        "iterations": result["iterations"],
        "objective": result["objective"],
        "labels": summary["labels"],
        "already_done": before,
    }


def _publish(summary: Summary, tell: Teller) -> None:
    tell.finished(summary.to_markdown(), _components(summary))


def _components(summary: Summary) -> list[dict[str, Any]]:
    return [
        {"component": k, "share": round(part["weight"], 6), "labelled": part["labelled"]}
        for k, part in enumerate(summary.components)
    ]


def run(
    path: str,
    settings: Sequence[str] = (),
    key: str | None = None,
    deployment: str | None = None,
    scheduled: str | None = None,
) -> int:
    """Run the flow as a command, and return its exit code.

    Parameters
    ----------
    path
        The path of the YAML configuration.
    settings
        Settings that replace those of the configuration, as ``section.key=value``.
    key
        The name of the run. The same key resumes it.
    deployment
        The deployment to which to submit the configuration, instead of running it here.
    scheduled
        The time for which to run, for templates. By default it is now.
    """

    def read() -> Config:
        return keyed(read_config(path, settings), key)

    return run_command(read, cluster, _print, deployment, scheduled=scheduled)


def _print(done: dict[str, Any]) -> None:
    if done["already_done"]:
        print("This run is already complete. To fit again, use another --key.")
    status = "not converged" if done["status"] == "max_iter" else done["status"]
    print(f"status      {status} after {done['iterations']:,} iterations")
    print(f"objective   {done['objective']:.10g}")
    print(f"labels      {done['labels'] or 'not written'}")
    print(f"run folder  {done['run']}")
    print(f"next        emdist inspect {quote(done['run'])}")
