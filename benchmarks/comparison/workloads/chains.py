"""Workloads of hidden Markov models: one iteration, on a long sequence, many, and a cut one."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from benchmarks.comparison.chain_data import ChainRows, chain_in_memory
from benchmarks.comparison.sizes import Size
from benchmarks.comparison.workload import MIB, Contender, Workload

#: Blocks of the sequence that is cut.
_BLOCKS = 64


def workloads(size: Size) -> Iterator[Workload]:
    """Yield all workloads of this module."""
    d, k = (3, 2) if size.tiny else (8, 8)
    rows = size.of(1_000_000, size.mixture_rows, 1280)
    whole, many = ChainRows(rows, d, k), ChainRows(rows, d, k, 100)
    for name, data, wanted in (("hmm-long", whole, 5), ("hmm-many", many, 20)):
        yield Workload(
            name,
            f"HMM full, one iteration, {data}",
            "peers",
            "chain_iteration",
            partial(chain_in_memory, data),
            (Contender("hmmlearn", "hmmlearn", at_least=wanted),),
            Contender("chains", "emdist"),
            options={"span": min(2, size.span)},
            tolerances={"bound": 1e-8},
            budget=2 * data.nbytes + 512 * MIB,
        )
    yield Workload(
        "hmm-cut",
        f"HMM full, one iteration, {whole} over {_BLOCKS} blocks",
        "limits",
        "chain_iteration",
        partial(chain_in_memory, whole),
        (Contender("chains", "a sequence per block", {"cut": False}, at_least=0.4, agrees=False),),
        Contender("chains", "emdist"),
        options={"span": min(2, size.span), "blocks": _BLOCKS},
        budget=2 * whole.nbytes + 512 * MIB,
    )
