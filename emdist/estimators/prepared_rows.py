"""`PreparedRows`: rows that are not in memory, with steps that are applied where they are read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

from emdist import prepare
from emdist.interfaces import Array, Source

if TYPE_CHECKING:
    from emdist.prepare.preparation import Preparation


@dataclass(frozen=True, eq=False)
class PreparedRows:
    """Rows of data that are not in memory, as a transformer of `emdist.prepare` returns them.

    Every estimator of emdist takes them as `X` and reads them in blocks. Nothing is read before.

    Attributes
    ----------
    x
        The data: a path or URL of a Zarr array, a ``zarr.Array``, or a Dask array.
    preparation
        The steps, with what they have learned.
    """

    x: Any
    preparation: Preparation

    #: As in arrays: rows and features.
    ndim = 2

    @property
    def shape(self) -> tuple[int, int]:
        """The number of rows and of prepared features."""
        return self._source().shape

    def then(self, more: Preparation) -> PreparedRows:
        """Return the rows with more steps after those that they have."""
        own = self.preparation
        joined = prepare.preparation.Preparation(
            own.n_features_in, own.steps + more.steps, own.learned + more.learned
        )
        return PreparedRows(self.x, joined)

    def compute(self) -> Array:
        """Read and prepare all rows, and return them as one array in memory."""
        from emdist.estimators.transforming import collected

        return collected(self._source())

    def _source(self) -> Source:
        from emdist.engines.threads import LocalEngine
        from emdist.estimators.inputs import make_source
        from emdist.settings.config import ReadingSection

        return make_source(self, None, LocalEngine(), ReadingSection(non_finite="missing"))

    def __array__(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise TypeError(
            "These rows are not in memory, and are read in blocks by the estimators of emdist. "
            "For others, load them as one array: rows.compute()."
        )

    def __repr__(self) -> str:
        steps = ", ".join(step.name for step in self.preparation.steps)
        return f"PreparedRows({self.x!r:.200}, prepared by {steps})"
