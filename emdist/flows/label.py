"""`emdist flow label`: labels new data as a Prefect flow, with a saved model or a finished run."""

# Annotations are not postponed: Prefect cannot resolve them in a flow that it loads from its file,
# as `flow.serve` does.
import logging
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import yaml
from prefect import flow, task
from prefect.cache_policies import NO_CACHE
from prefect.runtime import flow_run

from emdist.flows.command import run_command
from emdist.flows.private import check_public, joined, storage_options
from emdist.flows.script import current
from emdist.flows.telling import say, teller
from emdist.jobs.label import label_data
from emdist.report.summary import page_of_labelling
from emdist.settings.config import ClusterSection, NewDataSection, Section, make_section
from emdist.settings.file import overridden
from emdist.store.places.location import Location


class Labelling(Section):
    """One labelling: which model, which data, where to."""

    model: str
    data: NewDataSection
    out: str
    outputs: tuple[Literal["labels", "score", "responsibilities"], ...] = ("labels",)
    overwrite: bool = False
    cluster: ClusterSection = ClusterSection()


@flow(name="label", persist_result=False)
def label(config: Labelling) -> dict[str, Any]:
    """Label the rows of an array; started again with the same places, it goes on.

    Parameters
    ----------
    config
        Without storage options: those of `emdist.flows.private`, sections ``data``, ``model`` and
        ``labels``.

    Returns
    -------
    dict
        JSON: see `emdist.jobs.label.label_data`.
    """
    check_public(config)
    options = storage_options()
    whole = joined(config, options)
    model = Location(whole.model, options.get("model", {}))
    out = Location(whole.out, options.get("labels", {}))
    outcome = current()
    outcome.advice = "Start it again with the same arguments to go on."

    with outcome.working(), teller(str(flow_run.id)) as tell:

        @task(name="label", cache_policy=NO_CACHE, persist_result=False)
        def work() -> dict[str, Any]:
            return label_data(
                model, whole.data, out, whole.cluster, whole.outputs, whole.overwrite, tell
            )

        summary = work()
        tell.finished(page_of_labelling(summary).to_markdown(), _components(summary))
    say(logging.INFO, f"{summary['rows']:,} rows labelled: {summary['labels']}")
    return summary


def _components(summary: dict[str, Any]) -> list[dict[str, Any]]:
    total = sum(summary["components"]) or 1.0
    return [
        {"component": k, "share": round(n / total, 6), "labelled": n}
        for k, n in enumerate(summary["components"])
    ]


def run(values: Mapping[str, Any], settings: Sequence[str] = (), storage: str | None = None) -> int:
    """The flow as a command.

    Parameters
    ----------
    values
        Of a `Labelling`.
    settings
        Laid over them: ``section.key=value``.
    storage
        Path of a YAML file with storage options by section.

    Returns
    -------
    int
        Exit code, as of `emdist.flows.cluster.run`.
    """

    def read() -> Labelling:
        return make_section(Labelling, overridden(values, settings), "the command line")

    return run_command(read, label, _print, storage=storage)


def _print(done: dict[str, Any]) -> None:
    print(yaml.safe_dump(done, sort_keys=False).rstrip())
