"""Sums of components that few rows have a share in: their rows wait until they fill a panel.

Most responsibilities of separated components are 0. Rows with a share in such a component are
listed, and gathered for it alone. Groups of components that many rows have a share in are gathered
for all rows, because lists would cost more than they save.
"""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from emdist.kernels.jit import pasted
from emdist.kernels.vector.gathering import gather_panel
from emdist.kernels.vector.lanes import COMPONENTS, VECTORS
from emdist.kernels.vector.lines import fill_extras
from emdist.kernels.vector.scoring import bits_in, first_bit

Array = NDArray[Any]

#: Cost of a listed row, in multiply-adds of a vector: whatever its statistics, and for each of them
#: beside the one that takes part in sums for all rows. Measured on AVX-512.
_LISTED, _EACH = 120, 3
#: The share of rows below which lists are not kept, because finding these rows would take as long.
_LEAST = 0.03


def most_listed(rows: int, statistics: int) -> int:
    """Return how many rows times components of a panel and a group are worth listing, at most.

    0 says that nothing is worth it.
    """
    share = statistics / (_EACH * statistics + _LISTED * (rows // VECTORS))
    return int(COMPONENTS * rows * share) if share >= _LEAST else 0


@pasted
def crowded(seen: Array, used: Any, most: Any, runs: Array) -> Any:
    """Fill `runs` with the first and last + 1 components of groups that are not worth listing.

    Their bits in seen (panels, k) are cleared. Returned is the number of runs (n, 2). If `most` is
    0, that is one run of all components.
    """
    found, last = 0, -1
    if most == 0:
        runs[0, 0], runs[0, 1] = 0, seen.shape[1]
        return 1
    for begin in range(0, seen.shape[1], COMPONENTS):
        end, shared = begin + COMPONENTS, 0
        for p in range(used):
            for c in range(begin, end):
                shared += bits_in(seen[p, c])
        if shared > most * used:
            if last != begin:
                runs[found, 0] = begin
                found += 1
            runs[found - 1, 1] = last = end
            for p in range(used):
                for c in range(begin, end):
                    seen[p, c] = 0
    return found


@pasted
def list_rows(first: Any, used: Any, seen: Array, resp: Array, held: Array, listed: Array,
              shares: Array) -> None:  # fmt: skip
    """Append the rows whose bits are set in seen (panels, k) to the lists of their components.

    The first row of the first panel is `first`. Component c has `held[c]` rows in listed (k, n),
    with their shares in shares (k, n).
    """
    for c in range(len(held)):
        n = held[c]
        for p in range(used):
            left = seen[p, c]
            while left != 0:
                i = first_bit(left)
                listed[c, n] = first + p * resp.shape[2] + i
                shares[c, n] = resp[p, c, i]
                n += 1
                left &= left - 1
        held[c] = n


@pasted
def gather_listed(least: Any, x: Array, origin: Array, pairs: Array, extras: Array, held: Array,
                  listed: Array, shares: Array, panel: Array, share: Array,
                  out: Array) -> None:  # fmt: skip
    """Gather listed rows, a panel at a time, as long as a component has `least` of them."""
    rows = len(share)
    for c in range(len(held)):
        done = 0
        while held[c] - done >= least:
            count = min(rows, held[c] - done)
            for i in range(count, rows):
                share[i] = 0.0
                for j in range(x.shape[1]):
                    panel[j, i] = 0.0
            for i in range(count):
                row, share[i] = listed[c, done + i], shares[c, done + i]
                for j in range(x.shape[1]):
                    panel[j, i] = x[row, j] - origin[j]
            fill_extras(x.shape[1], extras, panel)
            gather_panel(panel, pairs, share, c, out)
            done += count
        if done:
            for i in range(held[c] - done):
                listed[c, i] = listed[c, done + i]
                shares[c, i] = shares[c, done + i]
            held[c] -= done
