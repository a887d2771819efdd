"""The short form of `make chaos`: the same faults each time."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from storm import Log, storms
from storm_report import summary


def told(log: Log) -> None:
    """Fail unless every run ended with its bits, whatever was done to it."""
    print(summary(log.faults))
    assert log.problems == []
    assert all(voyage["same bits"] for voyage in log.voyages)
    assert all(fault.outcome for fault in log.faults)


@pytest.mark.parametrize("house", ["threads", pytest.param("local", marks=pytest.mark.slow)])
def test_a_short_storm(house: str, tmp_path: Path) -> None:
    log = storms(seed=11, faults=2, marathon=0, houses=[house], folder=tmp_path)
    assert len(log.faults) == 2
    told(log)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_every_kind_of_fault(tmp_path: Path) -> None:
    log = storms(seed=5, faults=16, marathon=0, houses=["outside"], folder=tmp_path)
    told(log)
    assert len(Counter(fault.kind for fault in log.faults)) >= 12
