"""`lead`: tells the server of states that its automations wait for.

Prefect: the event of a state waits 15 minutes for the event of the state before, if less than five
minutes lie between them. The scheduler makes flow runs without an event, and a server that was
restarted has forgotten which events it had. So automations learn late that a flow run has crashed,
if the deployment is new or the server was restarted a moment ago.
Issue: https://github.com/opsmill/infrahub/issues/10201 describes it; none of Prefect's was found.
Goes when: an event waits only for events that will come.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.objects import FlowRun, State
from prefect.events import emit_event

log = logging.getLogger(__name__)

#: Time between two states up to which the event of one waits for that of the other.
_TIGHT = timedelta(minutes=5)


async def lead(client: PrefectClient, flow_run: FlowRun) -> None:
    """Emit the events of those states of a flow run that the events of later ones may wait for.

    The server drops those that it has had: it remembers them for five minutes.
    """
    try:
        states = await client.read_flow_run_states(flow_run.id)
    except httpx.HTTPError as error:
        log.debug("states of %s: %s", flow_run.id, error)
        return
    for state in leaders(states, bool(flow_run.auto_scheduled), datetime.now(UTC)):
        emit_event(
            f"prefect.flow-run.{state.name}",
            {
                "prefect.resource.id": f"prefect.flow-run.{flow_run.id}",
                "prefect.resource.name": flow_run.name,
            },
            occurred=state.timestamp,
            id=state.id,
        )


def leaders(states: Sequence[State[Any]], scheduled: bool, now: datetime) -> list[State[Any]]:
    """Return the states of this attempt whose events may be waited for, earliest first.

    Parameters
    ----------
    states
        All states of a flow run.
    scheduled
        Whether the scheduler made the flow run, so that its first state has no event.
    now
        The time.
    """
    ordered = sorted(states, key=lambda one: one.timestamp)
    attempt: list[State[Any]] = []
    for state in ordered:
        # That an attempt before has crashed is known: to tell it again would retry it again.
        attempt = [] if state.is_final() and state is not ordered[-1] else [*attempt, state]
    found = [one for one in attempt if not one.is_final() and now - one.timestamp < _TIGHT]
    if scheduled and attempt[:1] == ordered[:1] and attempt and attempt[0] not in found:
        second = attempt[1].timestamp if attempt[1:] else now
        if second - attempt[0].timestamp < _TIGHT:
            found.insert(0, attempt[0])
    return found
