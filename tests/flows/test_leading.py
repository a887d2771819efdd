"""Which states of a flow run later ones may wait for: those whose events a server may not know."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from prefect.client.schemas.objects import State, StateType

from emdist.flows.workarounds.leading import leaders

NOW = datetime(2026, 12, 1, tzinfo=UTC)
TYPES = {
    "Late": StateType.SCHEDULED,
    "AwaitingRetry": StateType.SCHEDULED,
    "Submitting": StateType.PENDING,
}


def states(text: str) -> list[State[None]]:
    """States by name and age in seconds, as ``"Scheduled 90, Running 60"``."""
    pairs = [part.split() for part in text.split(", ")]
    return [
        State(
            name=name,
            type=TYPES.get(name) or StateType(name.upper()),
            timestamp=NOW - timedelta(seconds=int(age)),
        )
        for name, age in pairs
    ]


@pytest.mark.parametrize(
    ("scheduled", "had", "expected"),
    [
        (True, "Scheduled 90", "Scheduled"),
        (True, "Scheduled 320, Late 60", "Scheduled Late"),
        (True, "Scheduled 9000, Late 60", "Late"),
        (True, "Scheduled 400", ""),
        (False, "Scheduled 400, Late 200", "Late"),
        (False, "Scheduled 90, Pending 80, Submitting 70, Running 60",
         "Scheduled Pending Submitting Running"),
        (False, "Scheduled 900, Pending 800, Submitting 700, Running 600", ""),
        # What an attempt before did is known, also that it crashed.
        (True, "Scheduled 90, Running 80, Crashed 70, AwaitingRetry 50, Running 10",
         "AwaitingRetry Running"),
        (True, "Scheduled 90, Running 80, Crashed 70, AwaitingRetry 50, Running 10, Crashed 0",
         "AwaitingRetry Running"),
        (True, "Scheduled 90, Running 80, Completed 0", "Scheduled Running"),
    ],
)  # fmt: skip
def test_states_that_a_server_may_not_know(scheduled: bool, had: str, expected: str) -> None:
    found = leaders(states(had), scheduled, NOW)
    assert [state.name for state in found] == expected.split()


def test_a_flow_run_that_was_deleted_has_none() -> None:
    assert leaders([], True, NOW) == []
