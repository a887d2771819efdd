"""End a command whose work is complete while the Prefect API does not answer.

Prefect: it retries each report of a state for minutes, which no setting limits for one flow.
Issue: https://github.com/PrefectHQ/prefect/issues/20462 (open).
Goes when: a flow can end while its last report is still to be made.
"""

from __future__ import annotations

import os
import sys
import threading
import time

from emdist.flows.workarounds.server import answers
from emdist.inputs.quoting import without_credentials
from emdist.report.lines import say

#: Seconds that a finished flow waits for an API that does not answer.
GRACE = 10.0


def leave_without_api(closed: threading.Event, url: str | None, text: str, code: int) -> None:
    """End the process if the API at `url` does not answer for `GRACE` seconds."""
    last = time.monotonic()
    while not closed.wait(1.0):
        if url is None or answers(url):
            last = time.monotonic()
        elif time.monotonic() - last > GRACE:
            shown = without_credentials(url)
            say(
                f"emdist: warning: The Prefect API at {shown} does not answer, so it does not know "
                f"that the flow has ended. {text}".rstrip(),
                sys.stderr,
            )
            sys.stdout.flush()
            os._exit(code)
