"""The configuration of a sweep: that of a fit, and which models are fitted instead of its one."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BeforeValidator, Field, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from emdist.composition.model import CENTRES
from emdist.composition.recipe import Recipe
from emdist.errors import ConfigError
from emdist.fit.criteria import CRITERIA, checked_criterion
from emdist.fit.together.lockstep import BUDGET
from emdist.inputs.plugins import family_name, nearest
from emdist.inputs.renamed import told_of_name
from emdist.inputs.validation import explain, parse_bytes, size
from emdist.settings.config import Config, ModelSection, Section

#: Fits of one sweep at most: each has a thread on the driver, which waits most of the time.
_MOST = 1000


def numbers(value: Any) -> Any:
    """``2..16``, ``2..30..4`` and lists of such, written out; anything else as it is."""
    if isinstance(value, str):
        value = [part for part in value.replace(",", " ").split() if part]
    if not isinstance(value, Sequence):
        return value
    return [number for part in value for number in _written_out(part)]


def _written_out(part: Any) -> Iterator[Any]:
    found = re.fullmatch(r"(\d+)\.\.(\d+)(?:\.\.(\d+))?", part) if isinstance(part, str) else None
    if found is None:
        if isinstance(part, str) and (other := re.fullmatch(r"(\d+)\s*[-:\u2013]\s*(\d+)", part)):
            raise ValueError(f"{part!r} is no number; write {other[1]}..{other[2]} for a range")
        yield part
        return
    first, last, step = int(found[1]), int(found[2]), int(found[3] or 1)
    if step < 1 or last < first or (last - first) // step >= _MOST:
        raise ValueError(f"{part!r} is no range; write for example 2..16 or 2..30..4")
    yield from range(first, last + 1, step)


def _known(name: str) -> str:
    if name not in CRITERIA:
        raise PydanticCustomError(
            "unknown_name",
            f"{name!r} is not known{nearest(name, CRITERIA)}; choose one of {', '.join(CRITERIA)}",
        )
    return name


class SweepSection(Section):
    """Which models are fitted, and how the best is chosen."""

    place = "sweep"

    n_components: Annotated[
        list[Annotated[int, Field(ge=1)]], BeforeValidator(numbers), Field(min_length=1)
    ]
    families: list[Annotated[str, AfterValidator(family_name)]] | None = Field(None, min_length=1)
    criterion: Annotated[str, AfterValidator(_known)] | None = None
    allow_degenerate: bool = False
    sums_memory: Annotated[str, AfterValidator(size)] = f"{BUDGET >> 20} MiB"

    @model_validator(mode="before")
    @classmethod
    def _memory(cls, values: Any) -> Any:
        """``memory``, which is that of a process everywhere else, under the name of now."""
        if not isinstance(values, Mapping) or "memory" not in values:
            return values
        told_of_name("sweep.memory", "sweep.sums_memory", "sums_memory" in values)
        return {"sums_memory" if k == "memory" else k: value for k, value in values.items()}

    @property
    def budget(self) -> int:
        """Bytes for the sums of one block; more take more than one read a pass."""
        return parse_bytes(self.sums_memory)


class SweepConfig(Config):
    """One sweep: data, model and fit as of a single one, and the models that it has instead."""

    sweep: SweepSection

    @model_validator(mode="after")
    def _no_start(self) -> Self:
        if self.fit.start is not None:
            raise ValueError(
                "fit.start gives one model its parameters, and a sweep has several models; "
                "remove it, or fit that model alone."
            )
        return self

    def recipes(self) -> tuple[Recipe, ...]:
        """The models, family by family; ConfigError for unknown or repeated ones."""
        names = self.sweep.families or [self.model.name]
        found = [self._recipe(name, k) for name in names for k in self.sweep.n_components]
        seen = [one.name for one in found]
        twice = sorted({name for name in seen if seen.count(name) > 1})
        if twice:
            raise ConfigError(
                f"The sweep has {', '.join(twice)} more than once. Give each number of components "
                "and each family once."
            )
        if len(found) > _MOST:
            raise ConfigError(
                f"The sweep has {len(found)} models; wanted at most {_MOST}. Sweep coarsely first, "
                "and then around the best."
            )
        return tuple(found)

    def _recipe(self, name: str, k: int) -> Recipe:
        values = self.model.model_dump() | {"name": name, "n_components": k}
        try:
            section = ModelSection.model_validate(values)
        except ValidationError as error:
            where = "sweep.families"
            raise ConfigError(explain(error, ModelSection, where)) from None
        return Recipe(section, self.fit, f"{name}-{k}").checked()

    def criterion(self) -> str:
        """The name of the criterion, once it is known to serve the models; ConfigError."""
        return criterion_of(self.recipes(), self.sweep.criterion)

    def identity(self) -> dict[str, Any]:
        """As of a fit, with the models that it has."""
        left_out = (
            {"sums_memory"} if self.sweep.allow_degenerate else {"sums_memory", "allow_degenerate"}
        )
        sweep = self.sweep.model_dump(exclude=left_out) | {"criterion": self.criterion()}
        return {**super().identity(), "sweep": sweep}

    def what(self) -> str:
        return "sweep"


def recipes_of(config: Config) -> tuple[Recipe, ...]:
    """What a run of `config` fits: the models of a sweep, or its one, without a name.

    Raises
    ------
    ConfigError
        If one cannot be made, or the criterion does not serve the models of a sweep.
    """
    if isinstance(config, SweepConfig):
        recipes = config.recipes()
        criterion_of(recipes, config.sweep.criterion)
        return recipes
    return (Recipe(config.model, config.fit).checked(),)


def criterion_of(recipes: Sequence[Recipe], asked: str | None) -> str:
    """The name of the criterion that models are compared by: `asked`, or their default.

    Raises
    ------
    ConfigError
        If it does not serve these models.
    """
    found = checked_criterion(asked, [one.kind for one in recipes], [one.k for one in recipes])
    for one in recipes if found == "icl" else ():
        if one.section.name not in CENTRES and one.model.temperature != 1:
            raise ConfigError(
                f"The criterion 'icl' counts the entropy of responsibilities, and assignment "
                f"{one.section.assignment!r} has none. Take bic, or assignment soft."
            )
    return found


def make_sweep_config(
    values: Mapping[str, Any],
    where: str = "the configuration",
    names: Mapping[str, str] | None = None,
) -> SweepConfig:
    """A checked `SweepConfig`; ConfigError with every fault, its place (see `names`) and remedy."""
    try:
        found = SweepConfig.model_validate(dict(values))
    except ValidationError as error:
        raise ConfigError(explain(error, SweepConfig, where, names)) from None
    found.criterion()
    return found
