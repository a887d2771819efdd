"""`emdist flow daily`: a Prefect flow for data that grow. It labels, fits again and publishes."""

# Annotations are not postponed: Prefect cannot resolve them in a flow that it loads from its file,
# as `flow.serve` does.
import logging
from collections.abc import Callable, Sequence
from shlex import quote
from typing import Any

from prefect import flow

from emdist.composition.daily_config import DailyConfig, make_daily_config
from emdist.flows.assets import stage
from emdist.flows.command import run_command
from emdist.flows.ending import ended
from emdist.flows.naming import run_name
from emdist.flows.stages import completed, persistently, renewing, told
from emdist.flows.telling import Teller, say
from emdist.flows.templates import occasion
from emdist.flows.workarounds.private import Options, joined
from emdist.jobs.daily import Daily
from emdist.report.summary import Summary, page_of_labelling
from emdist.settings.config import Config
from emdist.settings.file import overridden, read_values
from emdist.store.places.location import Location


@flow(name="daily", persist_result=False, flow_run_name=run_name)
def daily(config: DailyConfig, set: list[str] | None = None) -> dict[str, Any]:
    """Label what is new with the accepted model, and fit again if that is due.

    A new model is published, with its labels, if its drift is within the limits. A tick that is
    repeated does nothing twice, and one that was killed is continued by the next.

    Parameters
    ----------
    config
        The configuration, without storage options (see `emdist.flows.workarounds.private`). Its run
        key names the series. Templates are filled in data.path.
    set
        Settings that replace those of the configuration, as ``section.key=value``.

    Returns
    -------
    dict
        JSON values, as of `emdist.jobs.daily.Daily.tick`. The flow ends as Completed with the name
        Skipped if it was skipped, and as Cancelled if another flow run has taken the series over.
    """
    return ended(lambda: _daily(config, set or ()))


def _daily(asked: DailyConfig, settings: Sequence[str]) -> dict[str, Any]:
    config = completed(asked, settings, make_daily_config)
    advice = "Start the same command again to continue where it stopped."
    with told(config, config.series, advice) as tell:

        def fit(run: Config) -> None:
            persistently(run, str(run.run.key), _publish, tell)

        def label(
            work: Callable[[], dict[str, Any]], model: Location, out: Location
        ) -> dict[str, Any]:
            done = stage(work, out, "labels", (model, Location(config.data.path)))()
            about = f"{tell.title}: labelled rows by component"
            tell.published(
                page_of_labelling(done).to_markdown(), "labels", _components(done), about
            )
            return done

        def tick(options: Options) -> dict[str, Any]:
            return Daily(joined(config, options), occasion().scheduled, tell).tick(fit, label)

        found = renewing(tick, tell)
        new = "nothing was due" if found["already_done"] else f"{found['new_rows']:,} new rows"
        say(logging.INFO, f"published number {found['number']} in {config.daily.folder}: {new}")
    return found


def _publish(summary: Summary, tell: Teller) -> None:
    table = [
        {"component": k, "share": round(part["weight"], 6), "labelled": part["labelled"]}
        for k, part in enumerate(summary.components)
    ]
    tell.finished(summary.to_markdown(), table)


def _components(done: dict[str, Any]) -> list[dict[str, Any]]:
    total = sum(done["components"]) or 1.0
    return [
        {"component": k, "share": round(n / total, 6), "labelled": n}
        for k, n in enumerate(done["components"])
    ]


def run(
    path: str,
    settings: Sequence[str] = (),
    deployment: str | None = None,
    scheduled: str | None = None,
) -> int:
    """Run the flow as a command; see `emdist.flows.cluster.run`."""

    def read() -> DailyConfig:
        return make_daily_config(overridden(read_values(path), settings), path)

    return run_command(read, daily, _print, deployment, scheduled=scheduled)


def _print(done: dict[str, Any]) -> None:
    if done["already_done"]:
        print("Nothing was due: there are no new rows, and no fit was due.")
    print(f"published   number {done['number']}")
    print(f"new rows    {done['new_rows']:,} of {done['rows']:,}")
    print(f"fitted      {done['fitted'] or 'no'}")
    print(f"model       {done['model']}")
    print(f"labels      {done['labels']}")
    print(f"next        emdist inspect {quote(done['labels'])}")
