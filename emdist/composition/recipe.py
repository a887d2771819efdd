"""A recipe: one fit as configured, and what follows from that alone, made once and read by all."""

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
from emdist.fit.seeding import Seeder
from emdist.inputs.plugins import plugin
from emdist.interfaces import Model
from emdist.models.kmedians import KMedians
from emdist.settings.config import SEEDERS, FitSection, ModelSection


@dataclass(frozen=True)
class Recipe:
    """One fit of a run.

    Attributes
    ----------
    section
        The model, as configured.
    fit
        How it is fitted, as configured.
    name
        Of the fit among those of a sweep, such as ``diagonal-8``; empty for a fit by itself.
    """

    section: ModelSection
    fit: FitSection
    name: str = ""

    @property
    def k(self) -> int:
        """Components that are asked for."""
        return self.section.n_components

    def checked(self) -> Recipe:
        """This recipe, once it is known that it can be made; ConfigError otherwise."""
        _ = self.schedule
        return self

    @cached_property
    def model(self) -> Model[Any]:
        """The model, before it knows of any data."""
        return make_model(self.section)

    @cached_property
    def components(self) -> Components[Any] | KMedians:
        """What its parameters are made of."""
        return make_components(self.section)

    @cached_property
    def kind(self) -> Kind:
        """What criteria there are for such models."""
        return kind_of(self.section)

    @cached_property
    def schedule(self) -> Schedule:
        """How passes become iterations; ConfigError if the model is none for it."""
        return make_schedule(self.fit, self.model)

    @cached_property
    def seeder(self) -> Seeder:
        """What chooses the starting locations."""
        found: Seeder = plugin(SEEDERS, "seeder", self.fit.init or default_seeder(self.section))
        return found

    @cached_property
    def labeller(self) -> Model[Any]:
        """K-means, which labels rows for a mixture's start."""
        return make_model(ModelSection(name="kmeans", missing=self.section.missing))

    @cached_property
    def types(self) -> dict[str, Any]:
        """Types of the fields that a stored state leaves open: see `codec.decode`."""
        return param_types(self.section, self.schedule)
