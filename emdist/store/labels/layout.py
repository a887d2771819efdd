"""Layout of the arrays in a group of labels: shapes, chunks, dtypes and fill values."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

from emdist.errors import ConfigError

#: Shape, chunks, dtype, fill value and dimension names of an array.
Layout = tuple[tuple[int, ...], tuple[int, ...], str, Any, list[str]]

#: The label of rows that were left out: -1, or -2 in a model with noise, where -1 is the noise.
MASKED, MASKED_BESIDE_NOISE = -1, -2
_MAX_CHUNK_ROWS = 1 << 22


def arrays_wanted(
    outputs: tuple[str, ...], rows: int, block: int, k: int, fill: int = MASKED
) -> dict[str, Layout]:
    """Return the layout of each array of a labelling, by name.

    `fill` is the label of left-out rows.
    """
    chunk = chunk_rows((*range(0, rows, block), rows))
    shapes: dict[str, Layout] = {
        "labels": ((rows,), (chunk,), "int32", fill, ["row"]),
        "score": ((rows,), (chunk,), "float64", np.nan, ["row"]),
        "responsibilities": ((rows, k), (chunk, k), "float32", np.nan, ["row", "component"]),
    }
    blocks = -(-rows // block)
    progress = ((blocks, 3 + k), (1, 3 + k), "float64", np.nan, ["block", "sum"])
    return {name: shapes[name] for name in outputs} | {"progress": progress}


def chunk_rows(bounds: Sequence[int]) -> int:
    """Return the rows of an output chunk: a block, or an equal part of a very long block."""
    rows = bounds[1] - bounds[0]
    whole = itertools.islice(itertools.pairwise(bounds), len(bounds) - 2)
    if any(b - a != rows for a, b in whole):
        raise ConfigError(
            "Labels can be written only if all blocks except the last have the same number of "
            "rows, because each block must fill whole chunks. Rechunk the input evenly."
        )
    if len(bounds) == 2:  # There is no other block that could share these chunks.
        return min(rows, _MAX_CHUNK_ROWS)
    fewest = -(-rows // _MAX_CHUNK_ROWS)
    # It may be impossible to divide a long block into equal chunks of about this size, for example
    # if its number of rows is prime. One large chunk is then better than millions of small ones.
    parts = next((n for n in range(fewest, 16 * fewest) if rows % n == 0), 1)
    return rows // parts
