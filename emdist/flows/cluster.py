"""`emdist flow cluster`: fits one model as a Prefect flow: survey, segments, labels, summary."""

# Annotations are not postponed: Prefect cannot resolve them in a flow that it loads from its file,
# as `flow.serve` does.
from collections.abc import Sequence
from typing import Any

from prefect import flow

from emdist.flows.command import keyed, run_command
from emdist.flows.stages import perform
from emdist.flows.telling import Teller
from emdist.report.summary import Summary
from emdist.settings.config import Config, make_config
from emdist.settings.file import read_config


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
        JSON: ``run``, ``status``, ``iterations``, ``objective``, ``labels``, ``already_done``.
    """
    summary, before = perform(config, make_config, _publish)
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
    path: str, settings: Sequence[str] = (), key: str | None = None, deployment: str | None = None
) -> int:
    """The flow as a command; see `emdist.flows.command.run_command`.

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
    """
    return run_command(lambda: keyed(read_config(path, settings), key), cluster, _print, deployment)


def _print(done: dict[str, Any]) -> None:
    if done["already_done"]:
        print(f"The run is already done: {done['run']}. Use another key to fit again.")
    print(f"status      {done['status']} after {done['iterations']} iterations")
    print(f"objective   {done['objective']:.10g}")
    print(f"run folder  {done['run']}")
    print(f"labels      {done['labels'] or 'not written'}")
