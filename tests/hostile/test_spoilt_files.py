"""Files from elsewhere, spoilt: a clean error or a right answer, never anything else.

The cases of a number are the same for ever; ``EMDIST_CHAOS_SEED`` gives others to the long
variant, and ``EMDIST_CHAOS_ROUNDS`` that many times as many.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.hostile.spoilt_files import batch
from tests.hostile.targets import TARGETS

SEED = int(os.environ.get("EMDIST_CHAOS_SEED", "0"))
ROUNDS = int(os.environ.get("EMDIST_CHAOS_ROUNDS", "1"))


def _report(faults: list[dict[str, object]]) -> str:
    return "\n".join(f"case {f['case']}: {f['what']}\n    {f.get('at')}" for f in faults[:10])


@pytest.mark.long
@pytest.mark.parametrize("target", TARGETS)
def test_spoilt_files_are_met_with_an_error_or_an_answer(target: str, tmp_path: Path) -> None:
    found = batch(target, 0, 6, tmp_path)
    assert not found.faults, _report(found.faults)
    assert found.errors > 0
    assert found.cases == 6


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("target", TARGETS)
def test_many_spoilt_files(target: str, tmp_path: Path) -> None:
    count = 500 * ROUNDS
    found = batch(target, 1000 + SEED, count, tmp_path, seconds=3000)
    assert not found.faults, _report(found.faults)
    assert found.cases == count
    print(f"{target}: {count} cases, {found.errors} errors, {found.answers} answers, no fault")
