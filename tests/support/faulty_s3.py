"""An S3 server on loopback (moto's), and a proxy before it that injects faults by a seeded plan."""

from __future__ import annotations

import collections
import contextlib
import hashlib
import http.client
import random
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

BUCKET = "bucket"

#: What can happen to one request. "lost" ones were done, and their answer never came.
FAULTS = (
    "500",
    "503",
    "500 lost",
    "dropped",
    "dropped lost",
    "cut",
    "slow",
    "timeout",
)

_SLOW_DOWN = (
    b'<?xml version="1.0"?><Error><Code>SlowDown</Code><Message>Reduce your rate</Message></Error>'
)
_INTERNAL = b'<?xml version="1.0"?><Error><Code>InternalError</Code><Message>no</Message></Error>'


@dataclass
class Plan:
    """Which fault meets which request: decided by seed, method, key and how often it was asked.

    So it does not depend on which of several threads asks first.

    Attributes
    ----------
    seed, share
        Of the plan; share of the requests that fail, of the first tries.
    kinds
        That are injected.
    repeats
        After so many faults in a row a request is let through.
    requests, asked
        How many requests came, in all and of each method and path.
    intercept
        Called with method and path before anything else: what a test wants to happen there.
    """

    seed: int = 0
    share: float = 0.0
    kinds: tuple[str, ...] = FAULTS
    repeats: int = 3
    intercept: Callable[[str, str], str | None] = lambda method, path: None
    injected: collections.Counter[str] = field(default_factory=collections.Counter)
    requests: int = 0
    asked: collections.Counter[str] = field(default_factory=collections.Counter)
    _row: collections.Counter[str] = field(default_factory=collections.Counter)
    _lock: Any = field(default_factory=threading.Lock)

    def fault(self, method: str, path: str) -> str | None:
        """Of this request, or None."""
        kind = self.intercept(method, path)
        with self._lock:
            self.requests += 1
            what = f"{method} {path}"
            self.asked[what] += 1
            if kind is None and self._row[what] < self.repeats:
                name = f"{self.seed} {what} {self.asked[what]}"
                draw = random.Random(hashlib.sha256(name.encode()).digest())
                if draw.random() < self.share:
                    kind = draw.choice(self.kinds)
            self._row[what] = self._row[what] + 1 if kind else 0
            if kind:
                self.injected[kind] += 1
        return kind


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Else a body waits for the receipt of its headers, which the kernel delays by 40 ms.
    disable_nagle_algorithm = True
    server: _Proxy

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        kind = self.server.plan.fault(self.command, self.path)
        if kind == "timeout":
            self.server.ending.wait(self.server.patience)
            self._drop()
        elif kind == "dropped":
            self._drop()
        elif kind in ("500", "503"):
            self._answer(int(kind), {}, _INTERNAL if kind == "500" else _SLOW_DOWN)
        else:
            status, headers, data = self._forward(body)
            if kind == "dropped lost":
                self._drop()
            elif kind == "500 lost":
                self._answer(500, {}, _INTERNAL)
            else:
                self._answer(status, headers, data, kind)

    do_GET = do_PUT = do_HEAD = do_POST = do_DELETE = _serve  # noqa: N815

    def _drop(self) -> None:
        self.close_connection = True
        with contextlib.suppress(OSError):
            self.connection.shutdown(2)

    def _forward(self, body: bytes) -> tuple[int, dict[str, str], bytes]:
        # One change at a time: moto looks and then puts, and a conditional put must be one step.
        guard = self.server.changes if self.command != "GET" else contextlib.nullcontext()
        with guard:
            upstream = http.client.HTTPConnection(*self.server.upstream)
            upstream.request(self.command, self.path, body, dict(self.headers))
            answer = upstream.getresponse()
            data = answer.read()
            upstream.close()
        return answer.status, dict(answer.headers), data

    def _answer(
        self, status: int, headers: dict[str, str], data: bytes, kind: str | None = None
    ) -> None:
        self.send_response(status)
        own = {"date", "server", "connection", "transfer-encoding"}
        own |= set() if self.command == "HEAD" else {"content-length"}
        for name, value in headers.items():
            if name.lower() not in own:
                self.send_header(name, value)
        if self.command != "HEAD":
            self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command == "HEAD":
            return
        if kind == "cut":
            self.wfile.write(data[: len(data) // 2])
            self._drop()
        elif kind == "slow":
            step = max(1, -(-len(data) // 4))
            for at in range(0, len(data), step):
                self.wfile.write(data[at : at + step])
                self.server.ending.wait(0.01)
        else:
            self.wfile.write(data)


class _Proxy(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def __init__(self, upstream: tuple[str, int], handler: type[Handler]) -> None:
        super().__init__(("127.0.0.1", 0), handler)
        self.upstream = upstream
        self.plan = Plan()
        self.changes = threading.Lock()
        self.ending = threading.Event()
        #: Longer than the client waits: seconds.
        self.patience = 1.2

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that went away are what this is for."""


@dataclass
class S3:
    """A bucket behind the proxy."""

    proxy: _Proxy

    @property
    def plan(self) -> Plan:
        return self.proxy.plan

    @plan.setter
    def plan(self, plan: Plan) -> None:
        self.proxy.plan = plan

    def options(self, **more: str) -> dict[str, str]:
        """Storage options, with retries that are quick."""
        host, port = self.proxy.server_address[:2]
        return {
            "endpoint": f"http://{host}:{port}",
            "region": "us-east-1",
            "access_key_id": "AKIAEXAMPLEKEYID",
            "secret_access_key": "an-example-secret-that-nobody-may-see",
            "allow_http": "true",
            "timeout": "1s",
            "init_backoff": "0.005",
            "max_backoff": "0.05",
            **more,
        }

    def url(self, name: str) -> str:
        return f"s3://{BUCKET}/{name}"


@contextlib.contextmanager
def serving(handler: type[Handler] = Handler) -> Iterator[S3]:
    """A new bucket, behind a proxy of such handlers; skips the test where moto is not installed."""
    pytest.importorskip("flask", reason="the S3 server is moto's: pip install 'emdist[dev]'")
    server = pytest.importorskip("moto.moto_server.threaded_moto_server")
    from moto.core import DEFAULT_ACCOUNT_ID
    from moto.s3.models import s3_backends

    moto = server.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    moto.start()
    backend = s3_backends[DEFAULT_ACCOUNT_ID]["aws"]
    if BUCKET not in backend.buckets:
        backend.create_bucket(BUCKET, "us-east-1")
    proxy = _Proxy(moto.get_host_and_port(), handler)
    thread = threading.Thread(target=proxy.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield S3(proxy)
    finally:
        proxy.ending.set()
        proxy.shutdown()
        thread.join()
        proxy.server_close()
        moto.stop()
        # It outlives the server: the next one of this process would find what this one held.
        backend.buckets.pop(BUCKET, None)
        s3_backends.bucket_accounts.pop(BUCKET, None)
