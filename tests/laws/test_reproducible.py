"""The same bits whatever works, in whatever order; and those of earlier code on this CPU."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import TypeVar

import pytest
from distributed import Client

from emdist.engines.clusters.local import Local
from emdist.engines.dask.engine import DaskEngine
from emdist.engines.loop import Loop
from emdist.engines.threads import LocalEngine
from emdist.sums import Monoid, Tree
from tests.support.golden import CASES, COMMAND, WITHOUT, digest, machine, recorded

S = TypeVar("S", bound=Monoid)


@dataclass(frozen=True)
class AnyOrder:
    """Blocks in a random order, and each done twice."""

    seed: int

    def map_reduce(
        self,
        task: Callable[[int], S],
        blocks: Sequence[int],
        done: Callable[[int], None] | None = None,
    ) -> S:
        tree: Tree[S] = Tree(len(blocks))
        order = list(range(len(blocks)))
        Random(self.seed).shuffle(order)
        for place in order:
            task(blocks[place])
            tree.add(place, task(blocks[place]))
        return tree.result()


@pytest.fixture(scope="module")
def here() -> dict[str, str]:
    """What the plain loop comes to, by case: filled as asked for."""
    return {}


@pytest.mark.parametrize("case", CASES)
def test_any_order_and_number_of_threads(case: str, here: dict[str, str]) -> None:
    here[case] = digest(case, Loop())
    assert digest(case, LocalEngine(1)) == here[case]
    assert digest(case, AnyOrder(7)) == here[case]
    assert digest(case, LocalEngine(4)) == here[case]


@pytest.mark.parametrize("case", CASES)
def test_the_digests_of_earlier_code(case: str, here: dict[str, str]) -> None:
    known = recorded().get(machine())
    if known is None:
        told = f"nothing recorded for {machine()}; `{COMMAND}` records what sound code comes to"
        if os.environ.get(WITHOUT) == "optional":
            pytest.skip(told)
        pytest.fail(f"{told}. {WITHOUT}=optional goes without.")
    assert case in known, f"a new case: `{COMMAND}` records it"
    if case not in here:
        here[case] = digest(case, LocalEngine(1))
    assert here[case] == known[case], f"other bits than before; if that is meant, `{COMMAND}`"


@pytest.fixture(scope="module", params=[1, 2, 3])
def workers(request: pytest.FixtureRequest) -> Iterator[Client]:
    with Local(n_workers=request.param, processes=False).open() as client:
        client.wait_for_workers(request.param)
        yield client


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_any_number_of_workers(case: str, workers: Client) -> None:
    assert digest(case, DaskEngine(workers)) == digest(case, LocalEngine(2))


def test_runs_beside_each_other_do_not_disturb_each_other(tmp_path: Path) -> None:
    cases = ["kmeans", "full", "stepwise schedule", "incremental schedule"]
    alone = {case: digest(case, LocalEngine(1)) for case in cases}
    together: dict[str, str] = {}

    def work(case: str) -> None:
        together[case] = digest(case, LocalEngine(2))

    threads = [threading.Thread(target=work, args=(case,)) for case in cases]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert together == alone
