"""`MLflowCallback`: logs the iterations of a fit to the active run of MLflow."""

from __future__ import annotations

from typing import TYPE_CHECKING

from emdist import fit
from emdist.runtime.extras import need

if TYPE_CHECKING:
    from emdist.fit.events import Event


class MLflowCallback:
    """A callback that logs the objective and the speed of each iteration to MLflow.

    Pass it to `set_callbacks` of an estimator. Metrics go to the active run of MLflow, which is
    begun by ``mlflow.start_run()``; MLflow begins one by itself if there is none. The step is the
    iteration. Needs the extra ``mlflow``.

    Parameters
    ----------
    prefix : str, default=""
        What the names of metrics begin with, such as ``"kmeans_"``.

    Examples
    --------
    >>> import emdist, mlflow  # doctest: +SKIP
    >>> with mlflow.start_run():  # doctest: +SKIP
    ...     model = emdist.KMeans(8).set_callbacks(emdist.MLflowCallback()).fit("pixels.zarr")
    ...     mlflow.log_params(model.get_params())
    """

    def __init__(self, prefix: str = "") -> None:
        self.prefix = prefix
        need("mlflow", "MLflowCallback")

    def __call__(self, event: Event) -> None:
        """Log an event, if it is the end of an iteration."""
        if not isinstance(event, fit.events.Iterated):
            return
        import mlflow

        record, name = event.record, f"{self.prefix}{event.fit}{' ' if event.fit else ''}"
        found = {
            "objective": record.objective,
            "change": record.change,
            "shift": record.shift,
            "seconds": event.seconds,
            "rows_per_second": event.rows / event.seconds if event.seconds else 0.0,
        }
        # A change is not known in the first iteration, and a shift not in all models.
        known = {f"{name}{key}": value for key, value in found.items() if value == value}
        mlflow.log_metrics(known, step=record.iteration)
