"""The short form of `make chaos`: the same faults each time."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from tests.chaos.faulted_run import Log, is_kill, shows_traceback
from tests.chaos.storm import storms
from tests.chaos.storm_report import summary


def told(log: Log) -> None:
    """Fail unless every run ended with its bits, whatever was done to it."""
    print(summary(log.faults))
    assert log.problems == []
    assert all(voyage["same bits"] for voyage in log.voyages)
    assert all(fault.outcome for fault in log.faults)


#: What Python prints in a process whose parent was killed while it started.
ORPHAN = [
    "Restarting worker (status=Status.running)\n",
    "Traceback (most recent call last):\n",
    '  File "<string>", line 1, in <module>\n',
    '  File "/usr/lib/python3.11/multiprocessing/spawn.py", line 130, in _main\n',
    "    preparation_data = reduction.pickle.load(from_parent)\n",
    "EOFError: Ran out of input\n",
]


def test_a_traceback_is_wrong_unless_it_is_that_of_an_orphan_of_a_killed_driver() -> None:
    assert not shows_traceback([], killed=True)
    assert not shows_traceback(ORPHAN, killed=True)
    assert shows_traceback(ORPHAN, killed=False)
    assert shows_traceback(ORPHAN[:-1], killed=True)
    own = [*ORPHAN[:4], '  File "/home/emdist/fit/loop.py", line 3, in iterate\n', *ORPHAN[4:]]
    assert shows_traceback(own, killed=True)
    assert shows_traceback([*ORPHAN[:-1], "ValueError: no\n"], killed=True)
    assert shows_traceback([*ORPHAN, *own], killed=True)


@pytest.mark.parametrize("house", ["threads", pytest.param("local", marks=pytest.mark.slow)])
def test_a_short_storm(house: str, tmp_path: Path) -> None:
    log = storms(11, tmp_path, {house: 2})
    # A run may end before a fault reaches it.
    assert sum(fault.outcome != "too late" for fault in log.faults) == 2
    told(log)


@pytest.mark.long
def test_a_run_killed_in_every_phase(tmp_path: Path) -> None:
    """The long run of `make chaos`, shorter."""
    log = storms(3, tmp_path, {}, {"threads": 4})
    told(log)
    assert len(log.faults) == 4
    assert {fault.stage for fault in log.faults} >= {"survey", "seeding", "labelling"}


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_every_kind_of_fault(tmp_path: Path) -> None:
    log = storms(5, tmp_path, {"outside": 16})
    told(log)
    assert len(Counter(fault.kind for fault in log.faults)) >= 12


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_flow_in_a_storm(tmp_path: Path) -> None:
    told(storms(2, tmp_path, {"flow": 12}))


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_hundred_kills_in_one_run(tmp_path: Path) -> None:
    log = storms(1, tmp_path, {}, {"threads": 100})
    told(log)
    assert sum(map(is_kill, log.faults)) >= 100
