"""`emdist flow ingest`: copies files into a Zarr array as a Prefect flow."""

# Annotations are not postponed: Prefect cannot resolve them in a flow that it loads from its file,
# as `flow.serve` does.
import logging
from collections.abc import Mapping
from typing import Any

from prefect import flow, task
from prefect.cache_policies import NO_CACHE
from prefect.runtime import flow_run

from emdist.fit.events import Began, Progress
from emdist.flows.command import run_command
from emdist.flows.private import check_public, storage_options
from emdist.flows.script import current
from emdist.flows.telling import say, teller
from emdist.ingest import ingest
from emdist.settings.config import IngestSection, make_section
from emdist.store.places.location import Location


class Ingest(IngestSection):
    """One ingest: from where, to where."""

    target: str
    overwrite: bool = False


@flow(name="ingest", persist_result=False)
def ingest_files(config: Ingest) -> dict[str, Any]:
    """Write the rows of files to a Zarr array; cut off, it leaves no half array and starts anew.

    Parameters
    ----------
    config
        Storage options of the target: section ``data`` of `emdist.flows.private`.

    Returns
    -------
    dict
        JSON: ``rows``, ``features``, ``dtype``, ``chunks``, ``bytes_read``, ``bytes_stored``,
        ``target``, ``weights``, ``notes``.
    """
    check_public(config)
    target = Location(config.target, storage_options().get("data", {}))
    outcome = current()
    outcome.advice = "Nothing was written to the target. Start it again."
    with outcome.working(), teller(str(flow_run.id)) as tell:

        @task(name="ingest", cache_policy=NO_CACHE, persist_result=False)
        def work() -> dict[str, Any]:
            tell(Began("ingest", f"{config.source} -> {target}"))
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

        summary = work()
    say(logging.INFO, f"{summary['rows']:,} rows x {summary['features']}: {summary['target']}")
    return summary


def run(values: Mapping[str, Any], storage: str | None = None) -> int:
    """The flow as a command.

    Parameters
    ----------
    values
        Of an `Ingest`.
    storage
        Path of a YAML file with storage options by section.

    Returns
    -------
    int
        Exit code, as of `emdist.flows.cluster.run`.
    """

    def read() -> Ingest:
        return make_section(Ingest, values, "the command line")

    return run_command(read, ingest_files, _print, storage=storage)


def _print(done: dict[str, Any]) -> None:
    print(f"{done['target']}: {done['rows']:,} rows x {done['features']} {done['dtype']}")
    for note in done["notes"]:
        print(f"note: {note}")
