"""Faults, done for real to living processes: by kind, each at one moment."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import threading
import time
from collections.abc import Callable

import psutil

from tests.chaos.storm_drivers import House, Outside, family
from tests.support.killable_jobs import Fit

Act = Callable[[House, Fit, random.Random], bool]

#: Faults after which the driver has to end, and with which exit codes.
ENDS = {"kill driver": (-9,), "terminate driver": (143,), "interrupt driver": (130,)}
#: Exit code of the driver that tells of a lost cluster: it may be what a fault comes to.
LOST = 6


def _signal(pid: int, number: int) -> bool:
    """Whether there was somebody to get it."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)
        return True
    return False


def _driver(number: int) -> Act:
    def act(house: House, fit: Fit, rng: random.Random) -> bool:
        fit.process.send_signal(number)
        return True

    return act


def _some(house: House, fit: Fit, rng: random.Random, spare: int = 0) -> psutil.Process | None:
    workers = house.workers(fit)
    return rng.choice(workers) if len(workers) > spare else None


def _worker(number: int, spare: int = 0) -> Act:
    """One worker gets a signal, if `spare` others are there to go on."""

    def act(house: House, fit: Fit, rng: random.Random) -> bool:
        victim = _some(house, fit, rng, spare)
        return victim is not None and _signal(victim.pid, number)

    return act


def _all(house: House, fit: Fit, rng: random.Random) -> bool:
    hit = [_signal(victim.pid, signal.SIGKILL) for victim in house.workers(fit)]
    return any(hit)


def _freeze(house: House, fit: Fit, rng: random.Random) -> bool:
    """Stopped for up to 8 s: shorter or longer than the patience of the driver."""
    victim = _some(house, fit, rng, 1)
    if victim is None:
        return False
    _signal(victim.pid, signal.SIGSTOP)
    timer = threading.Timer(rng.uniform(0.2, 8), _signal, (victim.pid, signal.SIGCONT))
    timer.daemon = True
    timer.start()
    return True


def _slow(house: House, fit: Fit, rng: random.Random) -> bool:
    """Nine tenths of its time taken away, for 5 s."""
    victim = _some(house, fit, rng)
    if victim is None:
        return False

    def starve(pid: int = victim.pid) -> None:
        for _ in range(50):
            _signal(pid, signal.SIGSTOP)
            time.sleep(0.09)
            _signal(pid, signal.SIGCONT)
            time.sleep(0.01)

    threading.Thread(target=starve, daemon=True).start()
    return True


def _outside(act: Callable[[Outside, random.Random], object]) -> Act:
    def done(house: House, fit: Fit, rng: random.Random) -> bool:
        assert isinstance(house, Outside)
        act(house, rng)
        return True

    return done


def _kill_scheduler(house: Outside, rng: random.Random) -> None:
    assert house.scheduler is not None
    house.scheduler.kill()
    house.scheduler.wait()


ACTS: dict[str, Act] = {
    "kill driver": _driver(signal.SIGKILL),
    "terminate driver": _driver(signal.SIGTERM),
    "interrupt driver": _driver(signal.SIGINT),
    "kill a worker": _worker(signal.SIGKILL),
    "kill all workers": _all,
    "freeze a worker for good": _worker(signal.SIGSTOP, spare=1),
    "freeze a worker": _freeze,
    "slow worker": _slow,
    "worker out of memory": _worker(signal.SIGUSR1),
    "kill the scheduler": _outside(_kill_scheduler),
    "a worker joins": _outside(lambda house, _: house.join()),
    "a worker leaves": _outside(Outside.leave),
    "kill a nanny and its worker": _outside(Outside.crash),
}


def started(fit: Fit) -> list[psutil.Process]:
    """What a driver has started, to see later that it is gone."""
    return family(fit.process.pid)
