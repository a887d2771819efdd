"""`FittedDistribution`: the distribution of a fitted model, for all data that estimators accept."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

from emdist import composition, engines, mixtures, store
from emdist.errors import ConfigError
from emdist.estimators.collecting import gathered
from emdist.estimators.datasets import in_two_dimensions
from emdist.estimators.inputs import is_in_memory, is_polars, make_source
from emdist.estimators.wording import in_parameters
from emdist.inputs.foreign import is_a
from emdist.inputs.index_columns import without_index
from emdist.inputs.names import names_of
from emdist.interfaces import Source
from emdist.mixtures.distribution import MixtureDistribution
from emdist.settings.config import ReadingSection

if TYPE_CHECKING:
    from emdist.fit.fitted import Fitted
    from emdist.mixtures.answers import Answer
    from emdist.settings.config import ModelSection


@dataclass(frozen=True, eq=False)
class FittedDistribution(MixtureDistribution):
    """The distribution of a fitted model.

    Rows may also be stored or lazy data, and what `emdist.rows` returns. They are then read block
    by block, with the threads of this process, and results for rows on a grid are DataArrays.

    Attributes
    ----------
    reading
        How stored and lazy rows are read.
    """

    reading: ReadingSection = field(default_factory=ReadingSection)

    @in_parameters
    def _mapped(self, x: Any, task: Callable[[Source], Callable[[int], Any]]) -> Answer:
        x = without_index(x, "x")
        engine = engines.threads.LocalEngine()
        if is_in_memory(x) and not is_polars(x):
            if not is_a(x, "xarray", "DataArray"):
                return super()._mapped(x, task)
            in_two_dimensions(x)
            rows = mixtures.inputs.checked_rows(
                x, self.n_features, self.family.domain, self.feature_names
            )
            return gathered(
                engine, store.sources.arrays.array_source(rows), task, x, lambda source: source
            )
        source = make_source(x, None, engine, self.reading)
        mixtures.inputs.check_width(source.shape[1], self.n_features)
        mixtures.inputs.check_columns(self.feature_names, names_of(source), "x")
        return gathered(engine, source, task, x, lambda source: source)


def fitted_distribution(
    section: ModelSection, fitted: Fitted, reading: ReadingSection, is_prepared: bool = False
) -> FittedDistribution:
    """Return the distribution of a fitted model, which reads rows as `reading` says.

    It knows no missing values: rows with NaN are refused, unless they are left out.

    Raises
    ------
    ConfigError
        If the model is no mixture, or has a noise component, or if it prepares rows and the rows
        that its distribution takes are not prepared (`is_prepared`).
    """
    if fitted.preparation is not None and not is_prepared:
        steps = ", ".join(step.name for step in fitted.preparation.steps)
        raise ConfigError(
            f"The model prepares rows by {steps}, and its distribution is that of prepared rows. "
            "Use score_samples and predict_proba, which take rows as they are, or distribution("
            "prepared=True) with prepared rows; preparation_.inverse moves rows back."
        )
    made = composition.model.make_distribution(section, fitted)
    known = {one.name: getattr(made, one.name) for one in fields(made)}
    if reading.non_finite == "missing":
        reading = reading.model_copy(update={"non_finite": "raise"})
    return FittedDistribution(**known, reading=reading)
