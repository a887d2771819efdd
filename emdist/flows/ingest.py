"""`emdist flow ingest`: a Prefect flow that copies files into a Zarr array."""

# Annotations are not postponed: Prefect cannot resolve them in a flow that it loads from its file,
# as `flow.serve` does.
import logging
from collections.abc import Mapping, Sequence
from typing import Any

from prefect import flow, task
from prefect.cache_policies import NO_CACHE
from prefect.runtime import flow_run

from emdist.fit.events import Began, Progress
from emdist.flows.command import run_command
from emdist.flows.ending import ended
from emdist.flows.naming import run_name, title
from emdist.flows.script import current
from emdist.flows.stages import renewing
from emdist.flows.telling import say, teller
from emdist.flows.templates import SET
from emdist.flows.workarounds.private import Options, check_public
from emdist.ingest import ingest
from emdist.settings.config import IngestSection, make_section
from emdist.settings.file import overridden
from emdist.store.places.location import Location


class Ingest(IngestSection):
    """The parameter of the flow: what to ingest, and where to write it."""

    target: str
    overwrite: bool = False


@flow(name="ingest", persist_result=False, flow_run_name=run_name)
def ingest_files(config: Ingest, set: list[str] | None = None) -> dict[str, Any]:
    """Copy the rows of files into a Zarr array.

    If the flow is interrupted, it leaves no partial array, and a new run begins again.

    Parameters
    ----------
    config
        What to ingest. Storage options of the target are in the section ``data`` (see
        `emdist.flows.workarounds.private`).
    set
        Settings that replace those of the configuration, as ``key=value``.

    Returns
    -------
    dict
        JSON values: ``rows``, ``features``, ``dtype``, ``chunks``, ``bytes_read``,
        ``bytes_stored``, ``target``, ``weights`` and ``notes``.
    """
    return ended(lambda: _ingest(config, set or ()))


def _ingest(asked: Ingest, settings: Sequence[str]) -> dict[str, Any]:
    check_public(asked)
    values = overridden(asked.model_dump(exclude_unset=True), settings, SET)
    config = make_section(Ingest, values, "the configuration")
    check_public(config)
    outcome = current()
    outcome.advice = "Nothing was written to the target. Start the same command again."
    with outcome.working(), teller(str(flow_run.id), title(config)) as tell:
        tell.tagged(["emdist"])

        def work(options: Options) -> dict[str, Any]:
            target = Location(config.target, options.get("data", {}))

            # Prefect must not see the options, so they are no parameter of the task.
            @task(name="ingest", cache_policy=NO_CACHE, persist_result=False)
            def written() -> dict[str, Any]:
                tell(Began("ingest", f"{config.source} to {target}"))
                found = ingest(
                    config.source,
                    target,
                    columns=config.columns,
                    weight_column=config.weight_column,
                    dtype=config.dtype,
                    rows_per_chunk=config.rows_per_chunk,
                    overwrite=config.overwrite,
                    done=lambda rows, total: tell(Progress("rows", rows, total)),
                )
                return found.to_dict()

            return written()

        summary = renewing(work, tell)
    say(
        logging.INFO,
        f"ingested {summary['rows']:,} rows x {summary['features']} to {summary['target']}",
    )
    return summary


def run(values: Mapping[str, Any], storage: str | None = None) -> int:
    """Run the flow as a command, and return its exit code.

    Parameters
    ----------
    values
        The fields of an `Ingest`.
    storage
        The path of a YAML file with storage options by section.
    """

    def read() -> Ingest:
        return make_section(Ingest, values, "the command line")

    return run_command(read, ingest_files, _print, storage=storage)


def _print(done: dict[str, Any]) -> None:
    print(f"{done['target']}: {done['rows']:,} rows x {done['features']} {done['dtype']}")
    for note in done["notes"]:
        print(f"note: {note}")
