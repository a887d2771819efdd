"""The configuration of a sweep: that of a fit, plus which models to fit instead of one."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    GetJsonSchemaHandler,
    ValidationError,
    model_validator,
)
from pydantic_core import CoreSchema, PydanticCustomError

from emdist.composition.model import CENTRES
from emdist.composition.recipe import Recipe
from emdist.errors import ConfigError
from emdist.fit.criteria import CRITERIA, checked_criterion
from emdist.fit.together.lockstep import BUDGET
from emdist.inputs.plugins import family_name, nearest
from emdist.inputs.renamed import told_of_name
from emdist.inputs.validation import explain, parse_bytes, size
from emdist.settings.config import Config, ModelSection, Section
from emdist.wording import either

#: The most fits in one sweep. Each has a thread on the driver, which waits most of the time.
_MOST = 1000


def numbers(value: Any) -> Any:
    """Return ``2..16``, ``2..30..4`` and lists of these as numbers; other values unchanged."""
    if isinstance(value, str):
        value = [part for part in value.replace(",", " ").split() if part]
    if not isinstance(value, Sequence):
        return value
    return [number for part in value for number in _written_out(part)]


def _written_out(part: Any) -> Iterator[Any]:
    """Yield the numbers of a range such as ``2..16``; other values unchanged."""
    found = re.fullmatch(r"(\d+)\.\.(\d+)(?:\.\.(\d+))?", part) if isinstance(part, str) else None
    if found is None:
        if isinstance(part, str) and (other := re.fullmatch(r"(\d+)\s*[-:\u2013]\s*(\d+)", part)):
            raise ValueError(f"{part!r} is not a number; write {other[1]}..{other[2]} for a range")
        yield part
        return
    first, last, step = int(found[1]), int(found[2]), int(found[3] or 1)
    if step < 1 or last < first or (last - first) // step >= _MOST:
        raise ValueError(f"{part!r} is not a range; write for example 2..16 or 2..30..4")
    yield from range(first, last + 1, step)


def _known(name: str) -> str:
    if name not in CRITERIA:
        raise PydanticCustomError(
            "unknown_name",
            f"{name!r} is not known{nearest(name, CRITERIA)}; choose one of {', '.join(CRITERIA)}",
        )
    return name


def _ranges(schema: dict[str, Any]) -> None:
    """Add to the JSON schema of numbers of components what `numbers` accepts beside numbers."""
    own = {key: schema.pop(key) for key in ("type", "items", "minItems")}
    schema["anyOf"] = [
        own | {"items": {"anyOf": [own["items"], {"type": "string"}]}},
        {"type": "string"},
    ]


class SweepSection(Section):
    """This section says which models a sweep fits, and how it chooses the best."""

    place = "sweep"

    n_components: Annotated[
        list[Annotated[int, Field(ge=1)]],
        BeforeValidator(numbers),
        Field(min_length=1, json_schema_extra=_ranges),
    ]
    families: list[Annotated[str, AfterValidator(family_name)]] | None = Field(None, min_length=1)
    criterion: Annotated[str, AfterValidator(_known)] | None = None
    allow_degenerate: bool = False
    sums_memory: Annotated[str, AfterValidator(size)] = f"{BUDGET >> 20} MiB"

    @classmethod
    def __get_pydantic_json_schema__(
        cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        schema = super().__get_pydantic_json_schema__(core_schema, handler)
        known = schema["properties"]["sums_memory"]
        kept = {key: value for key, value in known.items() if key not in ("default", "title")}
        schema["properties"]["memory"] = {
            **kept,
            "title": "Memory",
            "description": "The former name of sums_memory.",
            "deprecated": True,
        }
        return schema

    @model_validator(mode="before")
    @classmethod
    def _memory(cls, values: Any) -> Any:
        """Accept ``memory``, the former name of ``sums_memory``, with a message about the new name.

        Everywhere else, ``memory`` is the RAM of a process.
        """
        if not isinstance(values, Mapping) or "memory" not in values:
            return values
        told_of_name("sweep.memory", "sweep.sums_memory", "sums_memory" in values)
        return {"sums_memory" if k == "memory" else k: value for k, value in values.items()}

    @property
    def budget(self) -> int:
        """Bytes for the sums of one block. If the sums are larger, a pass needs several reads."""
        return parse_bytes(self.sums_memory)


class SweepConfig(Config):
    """The configuration of a sweep: that of a fit, with a section that says which models to fit."""

    sweep: SweepSection

    @model_validator(mode="after")
    def _no_start(self) -> Self:
        if self.fit.origin is not None:
            raise ValueError(
                "fit.from starts from one model, but a sweep has several models. Remove it, or fit "
                "that model alone."
            )
        if self.fit.start is not None:
            raise ValueError(
                "fit.start gives the parameters of one model, but a sweep has several models. "
                "Remove it, or fit that model alone."
            )
        return self

    def recipes(self) -> tuple[Recipe, ...]:
        """Return the models, family by family; raise ConfigError for unknown or repeated ones."""
        names = self.sweep.families or [self.model.name]
        found = [self._recipe(name, k) for name in names for k in self.sweep.n_components]
        seen = [one.name for one in found]
        twice = sorted({name for name in seen if seen.count(name) > 1})
        if twice:
            raise ConfigError(
                f"The sweep contains {', '.join(twice)} more than once. Give each number of "
                "components and each family once."
            )
        if len(found) > _MOST:
            raise ConfigError(
                f"The sweep has {len(found)} models; expected at most {_MOST}. Begin with a "
                "coarse sweep, and then sweep around the best model."
            )
        return tuple(found)

    def _recipe(self, name: str, k: int) -> Recipe:
        """Return the checked recipe of one model of the sweep."""
        values = self.model.model_dump() | {"name": name, "n_components": k}
        try:
            section = ModelSection.model_validate(values)
        except ValidationError as error:
            where = "sweep.families"
            raise ConfigError(explain(error, ModelSection, where)) from None
        return Recipe(section, self.fit, f"{name}-{k}").checked()

    def criterion(self) -> str:
        """Return the criterion's name if it can compare the models; raise ConfigError otherwise."""
        return criterion_of(self.recipes(), self.sweep.criterion)

    def identity(self) -> dict[str, Any]:
        """Return the same as for a fit, with the models of the sweep."""
        left_out = (
            {"sums_memory"} if self.sweep.allow_degenerate else {"sums_memory", "allow_degenerate"}
        )
        sweep = self.sweep.model_dump(exclude=left_out) | {"criterion": self.criterion()}
        return {**super().identity(), "sweep": sweep}

    @property
    def has_kmeans(self) -> bool:
        return "kmeans" in (self.sweep.families or [self.model.name])

    def what(self) -> str:
        return "sweep"


def recipes_of(config: Config) -> tuple[Recipe, ...]:
    """Return what a run of `config` fits: the models of a sweep, or its only model, unnamed.

    Raises
    ------
    ConfigError
        If a model cannot be made, or the criterion cannot compare the models of a sweep.
    """
    if isinstance(config, SweepConfig):
        recipes = config.recipes()
        criterion_of(recipes, config.sweep.criterion)
        return recipes
    return (Recipe(config.model, config.fit).checked(),)


def criterion_of(recipes: Sequence[Recipe], asked: str | None) -> str:
    """Return the criterion by which models are compared: `asked`, or their default.

    Raises
    ------
    ConfigError
        If it cannot compare these models.
    """
    found = checked_criterion(asked, [one.kind for one in recipes], [one.k for one in recipes])
    for one in recipes if found == "icl" else ():
        if one.section.chain is not None:
            raise ConfigError(
                "The criterion 'icl' uses the entropy of responsibilities, and a hidden Markov "
                "model has that of paths. Use the criterion bic."
            )
        if one.section.name not in CENTRES and one.model.temperature != 1:
            raise ConfigError(
                "The criterion 'icl' uses the entropy of responsibilities, and assignment "
                f"{one.section.assignment!r} has none. Use the criterion bic, or the assignment "
                "soft."
            )
    return found


def make_sweep_config(
    values: Mapping[str, Any],
    where: str = "the configuration",
    names: Mapping[str, str] | None = None,
) -> SweepConfig:
    """Return a checked `SweepConfig`; raise ConfigError with every fault, its place and remedy.

    `names` says what the user calls a key, if that differs from the configuration.
    """
    if not values.get("sweep"):
        raise ConfigError(
            f"{where} does not say which numbers of components to compare. "
            + either(
                "Set sweep.n_components to [2, 4, 8]",
                "Add a section, as in 'sweep: {n_components: 2..12}', or pass -k 2..12 to `emdist "
                "sweep`",
                "Pass them, as in -k 2..12",
            )
            + "."
        )
    try:
        found = SweepConfig.model_validate(dict(values))
    except ValidationError as error:
        raise ConfigError(explain(error, SweepConfig, where, names)) from None
    found.criterion()
    return found
