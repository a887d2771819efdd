"""`Reading`, a mixin of estimators and transformers: makes sources of what users pass as `X`."""

from __future__ import annotations

import copy
import warnings
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, Self

from emdist import settings, store
from emdist.errors import ConfigError, DtypeError, NotAnArrayError, ShapeError
from emdist.estimators.datasets import check_weights_beside, in_two_dimensions, is_dataset
from emdist.estimators.inputs import as_matrix, is_client, is_in_memory, is_polars, make_source
from emdist.estimators.wording import level_of_caller
from emdist.estimators.xarray_forms import decoded_array
from emdist.inputs.foreign import is_a
from emdist.inputs.frames import names_in
from emdist.inputs.index_columns import without_index
from emdist.inputs.layout import Layout
from emdist.inputs.rows import Rows
from emdist.interfaces import Engine, Source

if TYPE_CHECKING:
    from emdist.settings.config import ReadingSection


class Reading:
    """Mixin that reads data as the parameters say, and shares its engine with its clones."""

    engine: Any
    block_size: Any
    missing_chunks: Any
    corrupt_chunks: Any
    non_finite: Any
    #: The parameter that says how stored numbers become values.
    _decoding: ClassVar[str] = "decode"
    #: From `Settings`.
    _checked: Any
    _check_switches: Any
    #: How rows were made of the fitted data, if they had named dimensions.
    _layout: Layout = Layout()

    def __sklearn_clone__(self) -> Self:
        # scikit-learn copies parameters deeply. A Dask client is a connection, so it is shared.
        bare: Any = copy.copy(self)
        bare.engine = None
        base: Any = super(Reading, bare)
        twin: Self = base.__sklearn_clone__()
        twin.engine = self.engine
        return twin

    def __getstate__(self) -> dict[str, Any]:
        # A Dask client cannot be used in another process. There, threads do the work.
        base: Any = super()
        state: dict[str, Any] = dict(base.__getstate__())
        if is_client(state.get("engine")):
            state["engine"] = None
        return state

    def _reading(self) -> ReadingSection:
        """Make the section that says how to read rows, from the present parameters."""
        found: ReadingSection = self._checked(
            settings.config.ReadingSection,
            {},
            block_size=self.block_size,
            missing_chunks=self.missing_chunks,
            corrupt_chunks=self.corrupt_chunks,
            non_finite=self.non_finite,
            decode=getattr(self, self._decoding),
        )
        return found

    def _source(self, X: Any, sample_weight: Any, engine: Engine) -> Source:
        self._check_switches()
        reading = self._reading()
        X = without_index(X)
        if is_a(X, "xarray", "DataArray"):
            in_two_dimensions(X)
            check_weights_beside(X, sample_weight)
            X = decoded_array(X) if reading.decode == "cf" else X
        if not is_in_memory(X) or is_polars(X):
            return make_source(X, sample_weight, engine, reading)
        source = make_source(as_matrix(X), sample_weight, engine, reading)
        return replace(source, feature_names=names_in(X))  # type: ignore[type-var]

    def _note_layout(self, X: Any) -> None:
        """Keep how rows are made of the data just fitted."""
        self._layout = X.layout if isinstance(X, Rows) else Layout()

    def _as_fitted(self, X: Any) -> Any:
        """Return `X`; if it may have named dimensions, as rows that are made like those of `fit`.

        Rows that the user has made stay as they are.
        """
        named = store.sources.references.is_stored(X) or is_a(X, "zarr", "Group") or is_dataset(X)
        return X if self._layout.trivial or not named else Rows(X, self._layout)

    def _source_as_fitted(self, X: Any, sample_weight: Any, engine: Engine) -> Source:
        """Return `X` as a source of rows that are made like those of `fit`."""
        rows = self._as_fitted(X)
        try:
            source = self._source(rows, sample_weight, engine)
            if rows is not X:
                _warn_of_left_out(source, self._layout)
            return source
        except (ConfigError, DtypeError, NotAnArrayError, ShapeError) as error:
            if rows is X:
                raise
            raise type(error)(
                f"{error} X is read like the data of the fit, as {rows}. To read it otherwise, "
                "pass emdist.rows(X, ...) with what suits it."
            ) from None


def _warn_of_left_out(source: Source, layout: Layout) -> None:
    """Warn of rows that are not read because the selection of the fit leaves them out."""
    part = store.grids.left_out.left_out(source, layout, dict(layout.select))
    if part is None:
        return
    rest = tuple((dim, one) for dim, one in layout.select if dim not in part.dims)
    warnings.warn(
        f"X is read like the data of the fit, with its selection: {part}. To read all, pass "
        f"emdist.rows(X{replace(layout, select=rest).arguments()}).",
        UserWarning,
        stacklevel=level_of_caller(),
    )
