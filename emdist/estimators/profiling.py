"""`Profiling`, a mixin of the estimators: says what the clusters are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sklearn.utils.validation import check_is_fitted

from emdist import inputs, jobs
from emdist.estimators.inputs import make_engine
from emdist.estimators.wording import Speaking

if TYPE_CHECKING:
    from emdist.fit.fitted import Fitted
    from emdist.report.profile import Profile


class Profiling(Speaking):
    """Mixin of the estimators with the method `profile`."""

    engine: Any
    _fitted: Fitted
    #: Returns the fitted section.
    _told: Any
    #: Returns the rows as a source of prepared rows, checked against the fitted features.
    _known: Any

    def profile(self, X: Any, sample_weight: Any = None, *, n_representatives: int = 3) -> Profile:
        """Say what the clusters are: what their rows have, feature by feature, from one pass.

        All figures are those of the data as they are, in their units, also if the model prepares
        rows. Each row counts for the cluster of its label.

        Parameters
        ----------
        {X as fitted}
        {sample_weight}
        n_representatives : int, default=3
            Number of rows to keep of each cluster: the most typical ones, and the least certain
            ones or, without responsibilities, the farthest.

        Returns
        -------
        profile : Profile
            Moments, quantiles, shares, entropies, representative rows and the features that set
            each cluster apart: as data frames (`to_frame`), Parquet (`to_parquet`), Markdown
            (`to_markdown`) or JSON values (`to_dict`).

        Raises
        ------
        DataError
            If the rows do not suit the model.
        """
        check_is_fitted(self)
        size = inputs.validation.whole_number(n_representatives, "n_representatives", 1)
        engine = make_engine(self.engine)
        source = self._known(X, sample_weight, engine)
        return jobs.describe.profile_of(self._told(), self._fitted, source, engine, size)
