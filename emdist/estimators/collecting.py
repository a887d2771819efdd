"""Results for each row: collected block by block, and put on the grid of the samples."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from emdist import fit
from emdist.estimators.datasets import GridResult, grid_of
from emdist.inputs.names import naming
from emdist.interfaces import Array, Engine, Source

if TYPE_CHECKING:
    from emdist.fit.together.bundle import BundleResults


@dataclass(frozen=True)
class Gathered:
    """What a task gave for all rows.

    Attributes
    ----------
    value
        The joined results of the blocks.
    rows
        The numbers of the rows, if they lie on a grid.
    grid
        Makes DataArrays on that grid, or None.
    """

    value: Any
    rows: Array | None = None
    grid: GridResult | None = None

    def shaped(
        self,
        values: Array,
        name: str,
        fill: float,
        columns: tuple[str, Any] | None = None,
        attributes: Mapping[str, Any] | None = None,
    ) -> Any:
        """Return `values` (m,) or (m, c) as they are or, on a grid, as a DataArray.

        The other arguments are as in `emdist.estimators.datasets.GridResult.of`.
        """
        if self.grid is None or self.rows is None:
            return values
        return self.grid.of(values, self.rows, name, fill, columns, attributes)


def gathered(
    engine: Engine,
    source: Source,
    task: Callable[[Source], Any],
    x: Any,
    seen: Callable[[Source], Source] | None = None,
    columns: str = "",
) -> Gathered:
    """Return what a task gives for all rows of `source`.

    Parameters
    ----------
    engine, source
        The rows, and the engine that reads them.
    task
        Returns the task for a source.
    x
        What the user passed: if its rows lie on a grid, so do results.
    seen
        Returns a source without the rows that the model does not look at. None says that the task
        gives a result for every row, also for those that are left out.
    columns
        The name of the dimension that results have beside those of the grid, or "".

    Raises
    ------
    ConfigError
        If the grid has a dimension or coordinate called `columns`.
    """
    grid, whole = grid_of(x, source), seen is None  # before the pass, because it needs xarray
    if grid is not None and columns:
        grid.check(columns)
    looked = seen or (lambda one: one)
    if grid is None:
        with naming(source):
            return Gathered(engine.map_reduce(task(looked(source)), range(len(source))))
    once = fit.together.bundle.OneRead(source)
    both = fit.together.bundle.Bundle(
        once, (task(looked(once)), fit.fitted.RowNumbers(looked(once), whole))
    )
    with naming(source):
        found: BundleResults = engine.map_reduce(both, range(len(source)))
    value, numbers = found.parts
    return Gathered(value, numbers.x, grid)
