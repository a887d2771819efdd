"""`SweepJob`: the stages of a sweep. It fits and scores many models and labels by the best."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import cached_property
from typing import Any

from emdist.composition.recipe import Recipe
from emdist.composition.sweep_config import SweepConfig
from emdist.fit.criteria import OF_LABELS
from emdist.fit.events import Warned
from emdist.interfaces import Source
from emdist.jobs.job import Job
from emdist.jobs.records import versions
from emdist.quality.doubts import Doubt, doubts_of
from emdist.quality.evidence import doubts_of_evidence
from emdist.quality.ranking import (
    Naming,
    Row,
    best_of,
    doubts_about,
    doubts_about_weights,
    rows_of,
    shown_criteria,
)
from emdist.quality.separation import separated_together
from emdist.report.opening import sweep_opening
from emdist.report.summary import preparation_facts
from emdist.report.sweep import SweepSummary, criterion_figure
from emdist.runtime.extras import advice, installed
from emdist.store.places.location import Location

#: Folder of the models and file of the figure, within the run's folder.
MODELS, FIGURE = "models", "criterion.png"
#: The names of these settings in configurations, for messages.
_NAMES = Naming("sweep.n_components", "sweep.allow_degenerate", "fit.max_iter", "fit.tol")


class SweepJob(Job[SweepConfig, SweepSummary]):
    """The job of a sweep. `rows` has one row for each model, once they are scored."""

    flow = "sweep"
    own = (MODELS, FIGURE)
    counts = False
    rows: tuple[Row, ...] = ()
    _weighed: tuple[Doubt, ...] = ()

    @staticmethod
    def opening(config: SweepConfig, recipes: Sequence[Recipe], source: Source) -> str:
        return sweep_opening(config, recipes, source)

    @staticmethod
    def is_whole(summary: Mapping[str, Any]) -> bool:
        wanted = {"run", "best", "criterion", "labels"}
        return isinstance(summary.get("models"), list) and summary.keys() >= wanted

    @cached_property
    def criterion(self) -> str:
        """Name of the criterion. It is cached, because finding it makes all models."""
        return self.config.criterion()

    @property
    def chosen(self) -> int:
        return best_of(self.rows, self.criterion, self.config.sweep.allow_degenerate)

    @property
    def doubts(self) -> tuple[Doubt, ...]:
        families = [row.family for row in self.rows]
        section = self.recipes[self.chosen].section
        own = (*doubts_of(section, self.fitted), *doubts_of_evidence(section, self.fitted))
        return (
            *doubts_about(self.rows, self.chosen, self.criterion, _NAMES, families),
            *self._weighed,
            *(doubt for doubt in own if doubt.kind != "floor" or self.rows[self.chosen].degenerate),
        )

    @property
    def _minimises(self) -> bool:
        return any(plan.model.minimises for plan in self.run.plans)

    def finish(self) -> None:
        """Score all models in one read; store each, and the best as the run's result."""
        with self._stage("score"):
            scores = self.run.scores(self.criterion == "icl" and not self._minimises)
            separations = (
                separated_together(self.run.fits(), self.run.state().fits, self._listen)
                if self.criterion in OF_LABELS
                else ()
            )
        found = self.run.fitted()
        names = [one.name for one in self.recipes]
        sections = [one.section for one in self.recipes]
        wanted = shown_criteria(self.criterion, sections)
        moments = self.run.survey().moments
        self.rows = tuple(rows_of(names, sections, found, scores, wanted, moments, separations))
        self._weighed = doubts_about_weights(scores[0], self.criterion)
        self._save(
            {f"{MODELS}/{name}": index for index, name in enumerate(names)} | {"final": self.chosen}
        )

    def summary(self, labelled: Any) -> SweepSummary:
        folder, best = self.run.folder.folder, self.rows[self.chosen].name
        figure = None
        if installed("matplotlib"):
            folder.write(FIGURE, criterion_figure(self.rows, self.criterion, best))
            figure = str(self.run.folder.location.child(FIGURE))
        else:
            self._listen(
                Warned(
                    f"emdist did not draw {FIGURE}, because the package matplotlib is not "
                    f"installed. {advice('report')}"
                )
            )
        rows, features = self.source.shape
        return SweepSummary(
            str(self.run.folder.location),
            {
                "array": str(Location(self.config.data.path)),
                "rows": rows,
                "features": features,
                "dtype": str(self.source.dtype),
                "blocks": len(self.source),
                "bytes": rows * features * self.source.dtype.itemsize,
                **(preparation_facts(made) if (made := self.run.preparation) is not None else {}),
            },
            self.criterion,
            best,
            self.rows,
            "inertia" if self._minimises else "log-likelihood per row",
            str(self.target) if self.config.labels.write else None,
            figure,
            {stage: round(value, 3) for stage, value in self.seconds.items()},
            versions(),
            tuple(asdict(doubt) for doubt in self.doubts),
            self.config.sweep.criterion is None,
            self.planned(),
        )
