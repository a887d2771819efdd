"""The states in which flows end: skipped, cancelled because superseded, or failed with a message.

A flow returns a state of Prefect where nothing has failed: Completed with the name Skipped if its
settings ask to skip it, and Cancelled if another flow run has taken its run over. All other errors
are raised, so that Prefect retries the flow if it is asked to.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, cast

from prefect.client.schemas.objects import FlowRun, State
from prefect.states import Cancelled, Completed

from emdist.errors import RunFencedError, SkippedError
from emdist.flows.script import current
from emdist.flows.telling import say
from emdist.flows.workarounds.logs import keep_errors_short
from emdist.inputs.durations import parse_duration
from emdist.report.outlook import duration


def ended(work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Return what `work` returns, or the state in which the flow ends without a result."""
    outcome = current()
    outcome.ended = None
    keep_errors_short()
    state: State[Any]
    try:
        return work()
    except SkippedError as error:
        outcome.ended = error
        say(logging.INFO, str(error))
        state = Completed(name="Skipped", message=str(error), data={"skipped": str(error)})
    except RunFencedError as error:
        outcome.ended = error
        say(logging.WARNING, f"Superseded: {error}")
        state = Cancelled(message=f"Superseded: {error}")
    # Prefect takes a state that a flow returns as the state in which it ends.
    return cast(dict[str, Any], state)


def check_late(run: FlowRun, limit: str | None) -> None:
    """Raise SkippedError if a scheduled flow run began more than `limit` after its time.

    A flow run that a person has started is never late, also if it is for an earlier time. A retry
    is as late as its first attempt.
    """
    if limit is None or not run.auto_scheduled or run.expected_start_time is None:
        return
    began = run.start_time or datetime.now(UTC)
    late = (began - run.expected_start_time).total_seconds()
    if late > parse_duration(limit):
        raise SkippedError(
            f"Skipped: the flow run was scheduled for {run.expected_start_time:%Y-%m-%d %H:%M:%S} "
            f"UTC and began {duration(late)} later, but skip_late is {limit}. Nothing was done. To "
            "do it all the same, start a run by hand for that time."
        )
