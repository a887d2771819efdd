"""`emdist flow label`: a Prefect flow that labels new data with a saved model."""

# Annotations are not postponed: Prefect cannot resolve them in a flow that it loads from its file,
# as `flow.serve` does.
import logging
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import yaml
from prefect import flow
from prefect.runtime import flow_run
from pydantic import AfterValidator

from emdist.flows.assets import stage
from emdist.flows.command import run_command
from emdist.flows.ending import check_late, ended
from emdist.flows.naming import run_name, title
from emdist.flows.script import current
from emdist.flows.stages import renewing
from emdist.flows.telling import say, teller
from emdist.flows.templates import SET, current_run, with_values
from emdist.flows.workarounds.private import Options, check_public, joined
from emdist.inputs.durations import duration_text
from emdist.jobs.label import label_data
from emdist.parameters.choices import OutputName
from emdist.report.summary import page_of_labelling
from emdist.settings.config import ClusterSection, NewDataSection, Section, make_section
from emdist.settings.file import overridden
from emdist.store.places.location import Location


class Labelling(Section):
    """The parameter of the flow: the model, the data, and where to write the labels."""

    model: str
    data: NewDataSection
    out: str
    outputs: tuple[OutputName, ...] | None = None
    components: tuple[int, ...] | None = None
    overwrite: bool = False
    append: bool = False
    cluster: ClusterSection = ClusterSection()
    skip_late: Annotated[str, AfterValidator(duration_text)] | None = None


@flow(name="label", persist_result=False, flow_run_name=run_name)
def label(config: Labelling, set: list[str] | None = None) -> dict[str, Any]:
    """Label the rows of an array. An interrupted labelling continues if it is started again.

    Parameters
    ----------
    config
        What to label. Storage options are in the sections ``data``, ``model`` and ``labels`` (see
        `emdist.flows.workarounds.private`). Templates are filled in model, data.path and out.
    set
        Settings that replace those of the configuration, as ``section.key=value`` or ``key=value``.

    Returns
    -------
    dict
        JSON values, as of `emdist.jobs.label.label_data`.
    """
    return ended(lambda: _label(config, set or ()))


def _label(asked: Labelling, settings: Sequence[str]) -> dict[str, Any]:
    check_public(asked)
    values = overridden(asked.model_dump(exclude_unset=True), settings, SET)
    changed = make_section(Labelling, values, "the configuration")
    check_public(changed)
    check_late(current_run(), changed.skip_late)
    config = make_section(Labelling, with_values(values), "the configuration")
    outcome = current()
    outcome.advice = "Start the same command again to continue where it stopped."

    with outcome.working(), teller(str(flow_run.id), title(config)) as tell:
        tell.tagged(["emdist"])

        def work(options: Options) -> dict[str, Any]:
            whole = joined(config, options)
            model = Location(whole.model, options.get("model", {}))
            out = Location(whole.out, options.get("labels", {}))

            def label() -> dict[str, Any]:
                return label_data(
                    model, whole.data, out, whole.cluster, whole.outputs, whole.overwrite, tell,
                    whole.components, whole.append,
                )  # fmt: skip

            return stage(label, out, "labels", (model, Location(whole.data.path)))()

        summary = renewing(work, tell)
        tell.finished(page_of_labelling(summary).to_markdown(), _components(summary))
    say(logging.INFO, f"labelled {summary['rows']:,} rows in {summary['labels']}")
    return summary


def _components(summary: dict[str, Any]) -> list[dict[str, Any]]:
    total = sum(summary["components"]) or 1.0
    return [
        {"component": k, "share": round(n / total, 6), "labelled": n}
        for k, n in enumerate(summary["components"])
    ]


def run(
    values: Mapping[str, Any],
    settings: Sequence[str] = (),
    storage: str | None = None,
    scheduled: str | None = None,
) -> int:
    """Run the flow as a command, and return its exit code.

    Parameters
    ----------
    values
        The fields of a `Labelling`.
    settings
        Settings that replace these values, as ``section.key=value``.
    storage
        The path of a YAML file with storage options by section.
    scheduled
        The time for which to run, for templates. By default it is now.
    """

    def read() -> Labelling:
        return make_section(Labelling, overridden(values, settings), "the command line")

    return run_command(read, label, _print, storage=storage, scheduled=scheduled)


def _print(done: dict[str, Any]) -> None:
    print(yaml.safe_dump(done, sort_keys=False).rstrip())
