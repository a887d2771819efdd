"""Two flow runs with one key at once, and flow runs that fail: states, messages, results."""

from __future__ import annotations

from typing import Any

import pytest
from prefect.client.orchestration import SyncPrefectClient

from tests.flows.test_flow_orchestrated import (  # noqa: F401  fixtures
    client,
    long,
    served,
    submitted,
    wait_for,
)
from tests.support.flow_processes import Script

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    ("if_running", "first", "second"),
    [
        ("take_over", "Cancelled", "Completed"),
        ("wait", "Completed", "Completed"),
        ("skip", "Completed", "Skipped"),
    ],
)
def test_an_overlap_fails_in_no_mode(
    served: Script,  # noqa: F811
    client: SyncPrefectClient,  # noqa: F811
    long: dict[str, Any],  # noqa: F811
    if_running: str,
    first: str,
    second: str,
) -> None:
    long["fit"]["max_iter"] = 3000  # The second flow run takes seconds to start.
    long["cluster"] = {"kind": "threads", "threads": 1}
    before = submitted(served, long)
    served.wait_for("checkpoint after 20 iterations")
    long["run"]["if_running"] = if_running
    after = submitted(served, long)
    ends = [wait_for(client, run.id, name, served) for run, name in
            ((before, first), (after, second))]  # fmt: skip
    if if_running == "take_over":
        assert "Superseded: " in (ends[0].message or "")
        assert "was taken over by" in (ends[0].message or "")
    if if_running == "skip":
        assert ends[1].is_completed()
        assert "another process is working on" in (ends[1].message or "")
    assert "Traceback" not in served.text
    assert served.text.count("iteration 1:") == 1
    assert client.read_flow_run(after.id).name == "x full-4 long"


def test_a_failed_flow_run_shows_a_message_and_no_traceback(
    served: Script,  # noqa: F811
    client: SyncPrefectClient,  # noqa: F811
    long: dict[str, Any],  # noqa: F811
) -> None:
    long["data"]["path"] += "-gone"
    long["cluster"] = {"kind": "threads", "threads": 1}
    run = submitted(served, long)
    state = wait_for(client, run.id, "Failed", served)
    assert "NotFoundError: There is " in (state.message or "")
    assert "There is " in served.text
    assert "Traceback" not in served.text
