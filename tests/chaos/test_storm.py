"""The short form of `make chaos`: the same faults each time."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from tests.chaos.faulted_run import Log, is_kill
from tests.chaos.storm import storms
from tests.chaos.storm_report import summary


def told(log: Log) -> None:
    """Fail unless every run ended with its bits, whatever was done to it."""
    print(summary(log.faults))
    assert log.problems == []
    assert all(voyage["same bits"] for voyage in log.voyages)
    assert all(fault.outcome for fault in log.faults)


@pytest.mark.parametrize("house", ["threads", pytest.param("local", marks=pytest.mark.slow)])
def test_a_short_storm(house: str, tmp_path: Path) -> None:
    log = storms(11, tmp_path, {house: 2})
    assert len(log.faults) == 2
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
