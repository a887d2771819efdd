"""`Recipe`: one fit as configured, and the objects that follow from its settings alone."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from emdist.components import Components
from emdist.composition.model import (
    default_seeder,
    kind_of,
    make_components,
    make_model,
    make_schedule,
    param_types,
)
from emdist.fit.criteria import Kind
from emdist.fit.fit import Schedule
from emdist.fit.schedules.auto import Auto
from emdist.fit.seeding import Seeder
from emdist.inputs.plugins import plugin
from emdist.interfaces import Model, Source
from emdist.models.kmedians import KMediansModel
from emdist.settings.config import SEEDERS, FitSection, ModelSection


@dataclass(frozen=True)
class Recipe:
    """One fit of a run, as configured. What follows from it is made once, when it is needed.

    Attributes
    ----------
    section
        The settings of the model.
    fit
        The settings of the fit.
    name
        The name of the fit among those of a sweep, such as ``diagonal-8``; empty for a single fit.
    """

    section: ModelSection
    fit: FitSection
    name: str = ""

    @property
    def k(self) -> int:
        """The number of components that was asked for."""
        return self.section.n_components

    def checked(self) -> Recipe:
        """Return this recipe if it can be made; raise ConfigError otherwise."""
        _ = self.schedule
        return self

    @cached_property
    def model(self) -> Model[Any]:
        """The model, before it has any information from the data."""
        return make_model(self.section)

    @cached_property
    def components(self) -> Components[Any] | KMediansModel:
        """The components that the model consists of."""
        return make_components(self.section)

    @cached_property
    def kind(self) -> Kind:
        """The kind of model, which decides which criteria there are."""
        return kind_of(self.section)

    @cached_property
    def schedule(self) -> Schedule:
        """The schedule; raises ConfigError if it cannot fit the model."""
        return make_schedule(self.fit, self.model)

    def chosen_schedule(self, source: Source) -> str:
        """Return the name of the schedule; "(chosen)" follows if the data decided."""
        schedule = self.schedule
        if not isinstance(schedule, Auto):
            return self.fit.schedule
        return f"{schedule.choice(self.model, self.k, source)} (chosen)"

    @cached_property
    def seeder(self) -> Seeder:
        """The method that chooses the starting locations."""
        found: Seeder = plugin(SEEDERS, "seeder", self.fit.init or default_seeder(self.section))
        return found

    @cached_property
    def labeller(self) -> Model[Any]:
        """A K-means model, which labels the rows when a mixture starts from clusters."""
        return make_model(ModelSection(name="kmeans", missing=self.section.missing))

    @cached_property
    def types(self) -> dict[str, Any]:
        """The types of those fields of a stored state that depend on the model.

        See `codec.decode`.
        """
        return param_types(self.section, self.schedule)
