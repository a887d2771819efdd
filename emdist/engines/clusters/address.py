"""A running Dask cluster, joined by the address or the file of its scheduler."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from math import inf
from pathlib import Path

from distributed import Client

from emdist.engines.dask.packages import check_workers
from emdist.engines.dask.quiet import closing_quietly
from emdist.engines.dask.tls import Tls
from emdist.errors import ConfigError, SchedulerError, WorkersError
from emdist.inputs.quoting import shown
from emdist.wording import either

_URL = re.compile(r"(tcp|tls|ws|wss|ucx|ucxx)://(\[[0-9A-Fa-f:.]+\]|[^\s:/\[\]]+):(\d{1,5})/?")


@dataclass(frozen=True)
class Address:
    """Joins a cluster that others run, and leaves it running.

    Whoever reaches a scheduler can run code on it. Use TLS (tls:// and `tls`, or the certificates
    in Dask's configuration, ``distributed.comm.tls``), or a network that you trust.

    Parameters
    ----------
    address
        "tcp://host:8786", "tls://host:8786", or the path of a scheduler file (``dask scheduler
        --scheduler-file FILE``).
    timeout
        Seconds to wait for the scheduler, and then again for the workers.
    wait_for_workers
        The number of workers to wait for, 0 for none.
    tls
        The certificates to show to the scheduler. None uses those of Dask's configuration, if any.
    """

    address: str
    timeout: float = 30.0
    wait_for_workers: int = 1

    tls: Tls | None = None

    def __post_init__(self) -> None:
        if not 0 < self.timeout < inf or self.wait_for_workers < 0:
            raise ConfigError(
                f"timeout={self.timeout} must be a positive and finite number of seconds, and "
                f"wait_for_workers={self.wait_for_workers} must be at least 0."
            )
        if not _URL.fullmatch(self.address) and not _is_path(self.address):
            raise ConfigError(
                f"address={shown(self.address)} is not the address of a scheduler; expected "
                "tcp://host:port, tls://host:port, or the path of a scheduler file."
            )

    @contextmanager
    def open(self) -> Iterator[Client]:
        """Yield a client of the running cluster. Only the client is closed on exit.

        Raises
        ------
        SchedulerError
            If nobody answers at the address within `timeout` seconds.
        WorkersError
            If there are too few workers after `timeout` seconds.
        WorkerPackageError
            If a worker lacks packages that the work needs.
        """
        with closing_quietly() as stack:
            address = self.address if _URL.fullmatch(self.address) else _from_file(self.address)
            _check_encrypted(address, self.tls)
            security = None if self.tls is None else self.tls.security()
            try:
                client = stack.enter_context(
                    Client(address, timeout=self.timeout, security=security)
                )
            # TypeError: there are no certificates. AssertionError: the client's thread did not
            # start within the ten seconds that Dask waits for it.
            except (OSError, TimeoutError, RuntimeError, TypeError, AssertionError) as error:
                why = str(error) or "this machine is too busy"
                raise SchedulerError(
                    f"no Dask scheduler answered at {address} within {self.timeout:g} s "
                    f"({why}). Check that `dask scheduler` runs there, that host and port are "
                    "right, that no firewall blocks the connection, and that both sides use TLS "
                    "or neither does."
                ) from error
            ready(client, self.wait_for_workers, self.timeout)
            yield client


cluster = Address


def ready(
    client: Client, n_workers: int, timeout: float, advice: Callable[[], str] = lambda: ""
) -> None:
    """Wait for `n_workers` workers, up to `timeout` seconds, and check their packages.

    `advice` returns a sentence that the error begins its remedy with.
    """
    if n_workers == 0:
        return
    # A cluster that adapts from zero starts no worker until a task waits for one.
    waiting = client.submit(int, pure=False)
    try:
        client.wait_for_workers(n_workers, timeout=timeout)
    except TimeoutError as error:
        raise WorkersError(
            f"{len(client.nthreads())} of {n_workers} workers joined the cluster within "
            f"{timeout:g} s. {advice()}Start workers, read in their logs why they do not join, or "
            f"raise {either('timeout', 'cluster.timeout')}."
        ) from error
    finally:
        waiting.release()
    check_workers(client)


def _check_encrypted(address: str, tls: Tls | None) -> None:
    if tls is not None and not address.startswith(("tls://", "wss://")):
        raise ConfigError(
            f"cluster.tls is given, but {address} is not encrypted; expected tls://host:port. "
            "Start the scheduler with --protocol tls and certificates, or leave cluster.tls out."
        )


def _is_path(address: str) -> bool:
    return "://" not in address and (address.endswith(".json") or Path(address).is_file())


def _from_file(path: str) -> str:
    """Return the address in a scheduler file."""
    try:
        return str(json.loads(Path(path).read_text())["address"])
    except FileNotFoundError as error:
        raise SchedulerError(
            f"there is no scheduler file at {path}. Start `dask scheduler --scheduler-file "
            f"{path}`, with the file in a folder that both machines can read."
        ) from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SchedulerError(
            f"{path} is not a scheduler file ({type(error).__name__}: {error}); expected the "
            "JSON that `dask scheduler --scheduler-file` writes."
        ) from error
