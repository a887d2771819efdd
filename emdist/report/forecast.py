"""The page of ``emdist plan``: what a fit needs and how long it takes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.filesize import decimal

from emdist.inputs.quoting import shown_size
from emdist.report.outlook import duration
from emdist.report.page import Page, numbered


def page_of_forecast(found: Mapping[str, Any]) -> Page:
    """Return the page of what `emdist.jobs.forecast.forecast_of` returns."""
    data, cluster, memory = found["data"], found["cluster"], found["memory"]
    facts = [
        (
            "data",
            f"{data['path']}: {data['rows']:,} rows x {data['features']}, "
            f"{decimal(data['bytes'])} in {numbered(data['blocks'], 'block')}",
        ),
        ("cluster", _cluster(cluster)),
        (
            "memory, driver",
            f"{shown_size(memory['driver']['needed'])} needed, "
            f"{shown_size(memory['driver']['free'])} free",
        ),
    ]
    if worker := memory.get("worker"):
        limit = shown_size(worker["limit"]) if worker["limit"] else "no limit"
        facts.append(("memory, worker", f"{shown_size(worker['needed'])} needed, {limit}"))
    if found["problem"]:
        facts.append(("problem", found["problem"]))
    if found["seconds"] is None:
        return Page(facts)
    seconds, reads, trial = found["seconds"], found["reads"], found["trial"]
    stages = [name for name in ("survey", "seeding", "score", "label") if seconds[name]]
    facts += [
        (
            "an iteration",
            f"{duration(seconds['iteration'])}, limited by {_LIMITS[found['limit']]}",
        ),
        ("reads", _reads(reads, found["kept_share"])),
        *((f"time, {stage}", duration(seconds[stage])) for stage in stages),
        (
            "time, all",
            f"at most {duration(seconds['all'])}, with "
            f"{numbered(found['iterations'], 'iteration')}",
        ),
        (
            "trial",
            f"{duration(trial['seconds'])} on {trial['blocks']:,} of "
            f"{numbered(data['blocks'], 'block')}",
        ),
    ]
    return Page(facts)


_LIMITS = {
    "reading": "reading",
    "computing": "computing",
    "driver": "the update of the parameters, in this process",
    "scheduler": "the scheduler of Dask (larger blocks help: data.block_size)",
}


def _reads(reads: Mapping[str, Any], kept: float) -> str:
    if kept >= 1:
        return f"{decimal(reads['all'])} once; then all blocks stay in memory"
    told = f"{decimal(reads['iteration'])} an iteration, at most {decimal(reads['all'])}"
    return f"{told} in all" + (f"; {kept:.0%} of the blocks stay in memory" if kept > 0.005 else "")


def _cluster(cluster: Mapping[str, Any]) -> str:
    cores = cluster["cores"]
    at_once = "" if cores is None else f", {numbered(cores, 'block')} at once"
    workers = f", {numbered(cluster['workers'], 'worker')}" if "workers" in cluster else ""
    return f"{cluster['kind']}{workers}{at_once}"


def forecast_facts(figures: Mapping[str, Mapping[str, float]]) -> list[tuple[str, str]]:
    """Return how right a plan was, as facts of a summary."""
    told = []
    for stage, one in figures.items():
        predicted, actual = duration(one["predicted"]), duration(one["actual"])
        ratio = f", {one['actual'] / one['predicted']:.2f} times" if one["predicted"] > 0 else ""
        told.append(f"{stage}: {predicted} predicted, {actual} taken{ratio}")
    return [("plan" if i == 0 else "", line) for i, line in enumerate(told)]
