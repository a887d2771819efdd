"""Provide a Prefect API for a flow: the configured one, or a server that this process starts.

The server here runs in its own session, and stops when the pipe to its parent closes, however the
parent ended.

Prefect: it would start a server itself, with three faults that matter for long fits. It allows 20 s
for a start that takes as long; Ctrl-C stops the server before the flow can report to it; and a
killed flow leaves it running for ever.
Issue: https://github.com/PrefectHQ/prefect/issues/16397 (closed; the time of the start). None was
found for the other two.
Goes when: the server that Prefect starts ends with its process, and only then.
"""

from __future__ import annotations

import os
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from http.client import HTTPException
from urllib.error import HTTPError
from urllib.request import ProxyHandler, build_opener

import httpx
from prefect import get_client
from prefect.events.worker import EventsWorker
from prefect.logging.handlers import APILogWorker
from prefect.settings import (
    PREFECT_API_AUTH_STRING,
    PREFECT_API_URL,
    PREFECT_SERVER_API_AUTH_STRING,
    get_current_settings,
    temporary_settings,
)

from emdist.errors import ConfigError, EmdistError
from emdist.inputs.quoting import without_credentials
from emdist.runtime.contexts import set_to

#: Seconds that a server may take to start. It takes 20 in a new PREFECT_HOME on two idle cores.
PATIENCE = 240.0
_QUIT = 10.0
#: Seconds to send the last events, and the same again to send the last logs.
_DRAIN = 5.0

_own: ContextVar[bool] = ContextVar("emdist_own_server", default=False)


def own_server() -> bool:
    """Return whether this process started the API."""
    return _own.get()


@contextmanager
def prefect_api() -> Iterator[None]:
    """Provide a Prefect API inside the block. A server that this starts also stops at the end."""
    configured = PREFECT_API_URL.value()
    if configured:
        check_api(configured, without_it())
        yield
        return
    print(
        "emdist: starting a Prefect server for this command, because PREFECT_API_URL is not set. "
        "The first start in a new PREFECT_HOME takes about 20 s.",
        file=sys.stderr,
        flush=True,
    )
    process = _start()
    try:
        url = _wait(process, time.monotonic() + PATIENCE)
        auth = PREFECT_SERVER_API_AUTH_STRING.value()
        own = temporary_settings({PREFECT_API_URL: url, PREFECT_API_AUTH_STRING: auth})
        with own, set_to(_own, True):
            yield
    finally:
        drained()
        _stop(process)


def drained() -> bool:
    """Send the logs and events that wait; return False if the API does not accept them in time."""
    gone = [
        worker.drain_all(timeout=_DRAIN)[1]  # type: ignore[index]
        for worker in (EventsWorker, APILogWorker)
    ]
    return not any(gone)


def answers(url: str, seconds: float = 3.0) -> bool:
    """Return whether there is an API at `url`."""
    return _reason_of(url, seconds) is None


def check_api(url: str, advice: str = "") -> None:
    """Raise EmdistError unless there is an API at `url` that gives this process access.

    Users who name a server expect to see the run there, so no other server replaces it. `advice`
    ends the message.
    """
    reason = _reason_of(url, 30.0)
    if reason is not None:
        raise EmdistError(
            f"The Prefect API at {without_credentials(url)} (PREFECT_API_URL) does not answer: "
            f"{reason!s:.150}. Start that server or correct the URL. {advice}".rstrip()
        )
    try:
        with get_client(sync_client=True) as client:
            client.api_version()
    except httpx.HTTPError as error:
        if denied(error):
            raise EmdistError(f"{denied(error)} {advice}".rstrip()) from None
        # Other errors may pass. If they do not, Prefect reports them.


def needed_api(what: str) -> None:
    """Raise an error unless PREFECT_API_URL names an API that gives this process access.

    `what` needs it, and begins the message.
    """
    url = PREFECT_API_URL.value()
    if not url:
        raise ConfigError(
            f"{what} needs a running Prefect server, but PREFECT_API_URL is not set. Set it to the "
            "URL of the server, such as http://127.0.0.1:4200/api."
        )
    check_api(url)


def without_it() -> str:
    """Return a sentence that says how to run with a server that this process starts."""
    if "PREFECT_API_URL" in os.environ:
        how = "unset PREFECT_API_URL"
    else:
        how = (
            "remove PREFECT_API_URL from the settings of Prefect (`prefect config view "
            "--show-sources` shows where it is set)"
        )
    return f"To run with a server that emdist starts and stops, {how}."


def denied(error: Exception) -> str | None:
    """Return a message for an API that denies access, or None if `error` is another one."""
    if not isinstance(error, httpx.HTTPStatusError) or error.response.status_code not in (401, 403):
        return None
    found = "is not accepted" if PREFECT_API_AUTH_STRING.value() else "is not set"
    return (
        f"The Prefect API at {without_credentials(str(PREFECT_API_URL.value()))} (PREFECT_API_URL) "
        f"denies access ({error.response.status_code}): PREFECT_API_AUTH_STRING {found}. Set it to "
        "the user:password of the server (PREFECT_SERVER_API_AUTH_STRING there). For Prefect "
        "Cloud, set PREFECT_API_KEY."
    )


def _reason_of(url: str, seconds: float) -> object | None:
    try:
        with build_opener().open(f"{url}/health", timeout=seconds):
            return None
    except HTTPError:
        return None  # Somebody answers, and Prefect judges the answer.
    except (OSError, HTTPException, ValueError) as error:
        reason = getattr(error, "reason", error)
        return None if isinstance(reason, ssl.SSLError) else reason


def _start() -> subprocess.Popen[bytes]:
    settings = get_current_settings().to_environment_variables(exclude_unset=True)
    own = {"PREFECT_UI_ENABLED": "0", "PREFECT_SERVER_ANALYTICS_ENABLED": "0"}
    return subprocess.Popen(
        [sys.executable, "-m", "emdist.flows.workarounds.server"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, **settings, **own},
        start_new_session=True,
    )


def _wait(process: subprocess.Popen[bytes], deadline: float) -> str:
    """Wait until the API answers, and return its URL."""
    assert process.stdout is not None
    url = f"http://127.0.0.1:{process.stdout.readline().decode().strip()}/api"
    opener = build_opener(ProxyHandler({}))
    while process.poll() is None and time.monotonic() < deadline:
        try:
            with opener.open(f"{url}/health", timeout=5):
                return url
        except OSError:
            time.sleep(0.1)
    raise EmdistError(
        "The Prefect server did not start (its messages are above). Set PREFECT_API_URL to a "
        "running server, upgrade Prefect (`pip install --upgrade 'prefect>=3.9.1'`), or run "
        "`emdist fit`, which needs no server."
    )


def _stop(process: subprocess.Popen[bytes]) -> None:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.close()
    try:
        process.wait(_QUIT)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    process.stdout.close()


def main() -> None:
    """Serve the API in this process until standard input closes."""
    import uvicorn
    from prefect.server.api.server import create_app

    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    print(listener.getsockname()[1], flush=True)
    app = create_app(ephemeral=True, final=True)
    server = uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="on"))
    threading.Thread(target=_until_parent_ends, args=(server,), daemon=True).start()
    server.run(sockets=[listener])


def _until_parent_ends(server: object) -> None:
    sys.stdin.buffer.read()
    server.should_exit = True  # type: ignore[attr-defined]
    time.sleep(_QUIT / 2)
    os._exit(0)


if __name__ == "__main__":
    main()
