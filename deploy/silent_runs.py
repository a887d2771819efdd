"""The automation that marks a run as crashed when its heartbeats stop.

``python deploy/silent_runs.py``, once, against a server (PREFECT_API_URL). Flow runs send a
heartbeat every PREFECT_FLOWS_HEARTBEAT_FREQUENCY seconds (180 by default), and Prefect does
nothing about those that fall silent. Set it to the same value here as where flows run: a run
whose heartbeats are further apart than 3.5 times the value here would be marked while it lives.
Running this again changes nothing.
"""

from __future__ import annotations

from datetime import timedelta
from typing import cast

from prefect.automations import Automation
from prefect.client.schemas.objects import StateType
from prefect.events import EventTrigger, Posture, ResourceSpecification
from prefect.events.actions import ChangeFlowRunState
from prefect.settings import get_current_settings

NAME = "emdist: silent runs have crashed"
#: Heartbeats that may be missed.
PATIENCE = 3.5


def automation(heartbeat: float) -> Automation:
    """Of every flow run that has sent a heartbeat and then neither another nor its end."""
    silence = timedelta(seconds=PATIENCE * heartbeat)
    gone = f"No heartbeat for {silence.total_seconds():.0f} s"
    runs = ResourceSpecification({"prefect.resource.id": "prefect.flow-run.*"})
    ends = ("Completed", "Failed", "Cancelled", "Crashed")
    return Automation(
        name=NAME,
        description=f"{gone}: the process, its pod or its machine is gone.",
        trigger=EventTrigger(
            match=runs,
            after={"prefect.flow-run.heartbeat"},
            expect={"prefect.flow-run.heartbeat", *(f"prefect.flow-run.{end}" for end in ends)},
            for_each={"prefect.resource.id"},
            posture=Posture.Proactive,
            threshold=1,
            within=silence,
        ),
        actions=[
            ChangeFlowRunState(
                state=StateType.CRASHED,
                message=f"{gone}. Retry this run: it resumes from its checkpoint.",
            )
        ],
    )


def main() -> None:
    """Create the automation, unless the server has it."""
    heartbeat = get_current_settings().flows.heartbeat_frequency
    if heartbeat is None:
        raise SystemExit("Heartbeats are off: set PREFECT_FLOWS_HEARTBEAT_FREQUENCY, e.g. to 60.")
    try:
        Automation.read(name=NAME)
    except ValueError:
        cast(Automation, automation(heartbeat).create())  # a coroutine only in an async context
        print(f"created: {NAME}")


if __name__ == "__main__":
    main()
