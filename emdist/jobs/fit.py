"""`FitJob`: the stages of a run that fits one model, stores it and labels its rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from emdist.composition.recipe import Recipe
from emdist.interfaces import Source
from emdist.jobs.job import Job
from emdist.jobs.records import versions
from emdist.quality.doubts import Doubt, doubts_of, unfinished
from emdist.quality.drift import check_drift, drift_doubts, drift_figures
from emdist.quality.evidence import doubts_of_evidence
from emdist.report.opening import fit_opening
from emdist.report.summary import Summary, summarise
from emdist.settings.config import Config
from emdist.store.places.location import Location


class FitJob(Job[Config, Summary]):
    """The job of a run that fits one model."""

    chosen = 0
    #: The figures of drift from the model that the run starts from. Defined after `label`.
    _drift: dict[str, Any] | None = None

    @staticmethod
    def opening(config: Config, recipes: Sequence[Recipe], source: Source) -> str:
        return fit_opening(config, source)

    @staticmethod
    def is_whole(summary: Mapping[str, Any]) -> bool:
        result = summary.get("result")
        wanted = {"status", "iterations", "objective"}
        shown = isinstance(result, dict) and result.keys() >= wanted
        return shown and summary.keys() >= {"run", "labels"}

    @property
    def doubts(self) -> tuple[Doubt, ...]:
        cut = unfinished(self.fitted, "fit.max_iter", "fit.tol")
        drifted = () if self._drift is None else drift_doubts(self._drift, self.config.drift)
        model = self.config.model
        own = (*doubts_of(model, self.fitted), *doubts_of_evidence(model, self.fitted))
        return (*cut, *own, *drifted)

    def finish(self) -> None:
        self._save({"final": 0})

    def label(self) -> Any:
        """Do what every job does, and then compare model and data with the earlier model."""
        labelled = super().label()
        if self.reference is not None:
            with self._stage("drift"):
                sums = self.run.label_by_reference()
            fitted, minimises = self.fitted, self.plan.model.minimises
            shares = fitted.params.shares[: fitted.n_components]
            if minimises:
                shares = labelled["count"] / labelled["count"].sum()
            matching = self.plan.matching(fitted)
            self._drift = drift_figures(self.reference, matching, shares, sums.fields, minimises)
            exceeds = drift_doubts(self._drift, self.config.drift)
            self._drift["refused"] = bool(exceeds) and self.config.drift.action == "fail"
        return labelled

    def summarise(self, labelled: Any) -> Summary:
        """Complete the run; then raise DriftError if the data have drifted too far."""
        found = super().summarise(labelled)
        if self._drift is not None:
            check_drift(self._drift, self.config.drift, found.run)
        return found

    def summary(self, labelled: Any) -> Summary:
        model, fitted = self.plan.model, self.fitted
        moved = model.translate(fitted.params, fitted.spread.origin)
        more = {"drift": self._drift, "planned": self.planned()}
        return summarise(
            str(self.run.folder.location),
            str(Location(self.config.data.path)),
            self.source,
            self.config.model.title,
            model.minimises,
            fitted,
            model.locations(moved),
            labelled,
            self.run.survey().masked,
            str(self.target) if self.config.labels.write else None,
            self.seconds,
            versions(),
            self.doubts,
            self.config.data.weights is not None,
            self.recipes[0].chosen_schedule(self.plan.source),
            {name: value for name, value in more.items() if value is not None},
        )
