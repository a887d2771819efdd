"""The first line of a run: which model is fitted to which data, and which settings are defaults."""

from __future__ import annotations

from collections.abc import Sequence

from emdist.composition.model import default_seeder
from emdist.composition.recipe import Recipe
from emdist.composition.sweep_config import SweepConfig
from emdist.interfaces import Source
from emdist.settings.config import Config
from emdist.store.places.location import Location

#: Printed after a setting that has its default.
_DEFAULT = " (default)"


def fit_opening(config: Config, source: Source) -> str:
    """Return the first line of a fit: model, number of components, start, then the data."""
    model = config.model
    parts = [
        f"{model.title}{_unless('name' in model.model_fields_set)}",
        f"{_components(model.n_components)}{_unless('n_components' in model.model_fields_set)}",
        _start(config, [default_seeder(model)]),
    ]
    return f"{', '.join(parts)}; {_data(config, source)}"


def sweep_opening(config: SweepConfig, recipes: Sequence[Recipe], source: Source) -> str:
    """Return the first line of a sweep: models, families, criterion, start, then the data."""
    names = list(dict.fromkeys(one.section.name for one in recipes))
    chosen = config.sweep.families is not None or "name" in config.model.model_fields_set
    seeders = list(dict.fromkeys(default_seeder(one.section) for one in recipes))
    parts = [
        f"{len(recipes)} models",
        f"{' and '.join(names)}{_unless(chosen)}",
        f"best by {config.criterion()}{_unless(config.sweep.criterion is not None)}",
        _start(config, seeders),
    ]
    return f"{', '.join(parts)}; {_data(config, source)}"


def _start(config: Config, seeders: list[str]) -> str:
    if config.fit.origin is not None:
        return f"starting from {config.fit.origin}"
    if config.fit.start is not None:
        return f"starting values from {config.fit.start}"
    if config.fit.init is not None:
        return f"init {config.fit.init}"
    return f"init {' and '.join(seeders)}{_DEFAULT}"


def _components(count: int) -> str:
    return f"{count:,} component{'s' if count != 1 else ''}"


def _unless(chosen: bool) -> str:
    return "" if chosen else _DEFAULT


def _data(config: Config, source: Source) -> str:
    rows, features = source.shape
    blocks = f"{len(source):,} block{'s' if len(source) != 1 else ''}"
    where = Location(config.data.path)
    return f"{where}: {rows:,} rows x {features} {source.dtype} in {blocks}"
