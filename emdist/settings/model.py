"""The section of the configuration that says which model to fit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    GetJsonSchemaHandler,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)
from pydantic_core import CoreSchema, PydanticCustomError

from emdist.dissimilarities.own import OwnPair
from emdist.errors import ConfigError
from emdist.inputs.expected import SAID
from emdist.inputs.plugins import family_name, plugin, plugins
from emdist.inputs.quoting import shown
from emdist.inputs.validation import checked_options
from emdist.parameters.configuration import CONFIGURATION
from emdist.settings.section import Section, one_of
from emdist.wording import either

#: The name of hidden Markov models; `ModelSection.emission` names the family of their states.
HMM = "hmm"
#: The names of models without a density.
_CENTRES = ("kmeans", "kmedians", "kcentroids")
FAMILIES = "emdist.families"
DISSIMILARITIES = "emdist.dissimilarities"
ASSIGNMENTS = "emdist.models.assignments"
WEIGHTS = "emdist.models.weights"

#: Names of the L1 distance. They are refused, because its centre is not a mean but a median.
_MEDIANS = ("manhattan", "l1", "cityblock")


class NoiseSection(Section):
    """This section adds uniform noise beside the components of a family of real numbers."""

    place = "model.noise"

    weight: float = Field(0.05, gt=0, lt=1)
    volume: float | None = Field(None, gt=0, allow_inf_nan=False)


class ChainSection(Section):
    """This section makes the components states of a hidden Markov model."""

    place = "model.chain"

    start: Literal["free", "uniform", "stationary"] = "free"
    start_prior: float = Field(1.0, ge=1, allow_inf_nan=False)
    transition_prior: float = Field(1.0, ge=1, allow_inf_nan=False)


def _noise(value: Any) -> Any:
    """Return the section for ``true``, or for a weight alone."""
    value = SAID.get(value.lower(), value) if isinstance(value, str) else value
    if isinstance(value, bool):
        return {} if value else None
    if isinstance(value, str):
        raise PydanticCustomError("wrong_kind", "expected true, false or the weight of the noise")
    return {"weight": value} if isinstance(value, int | float) else value


def _in_any_case(word: str) -> str:
    """Return a regular expression for a word in upper or lower case, as JavaScript reads it."""
    return "".join(f"[{letter.upper()}{letter}]" for letter in word)


def _short_forms(schema: dict[str, Any]) -> None:
    """Add to the JSON schema of the noise what `_noise` accepts beside a section."""
    schema["anyOf"] = [
        *schema["anyOf"],
        {"type": "boolean"},
        {"type": "string", "pattern": f"^({'|'.join(map(_in_any_case, SAID))})$"},
        {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1},
    ]


def _dissimilarity(value: Any) -> Any:
    """Return `value` if it is a dissimilarity's name or a user's pair; else raise ValueError."""
    if value is None or isinstance(value, OwnPair):
        return value
    if str(value).lower() in _MEDIANS:
        # Not a ConfigError, which would be worded for a configuration here, and not for the user.
        raise ValueError(
            f"{value!r} belongs to K-medians: its centre is the median of each feature, which no "
            "sum over rows gives. "
            + either(
                "Use emdist.KMedians.", "Set model.name to 'kmedians', without model.dissimilarity."
            )
        )
    plugin(DISSIMILARITIES, "dissimilarity", str(value))
    return str(value)


def _check_options(name: str, options: Any) -> None:
    """Check the options of a dissimilarity, whose errors then name the key that the user wrote.

    Later they are checked as ``model.options``.
    """
    where = "model.dissimilarity_options"
    if not isinstance(options, Mapping):
        raise ConfigError(
            f"{where}: expected a mapping, as in {{key: value}}, got {shown(options)}."
        )
    known = plugins(DISSIMILARITIES, "dissimilarity")
    if name in known:  # The check of the name reports another one.
        checked_options(known[name], options, where)


class ModelSection(Section):
    """This section says which model is fitted."""

    place = "model"

    name: Annotated[
        str,
        AfterValidator(family_name),
        one_of(FAMILIES, "family", [*_CENTRES, HMM]),
    ] = "kmeans"
    n_components: int = Field(8, ge=1)
    assignment: Annotated[str, one_of(ASSIGNMENTS, "assignment")] = "soft"
    assignment_options: dict[str, Any] = Field(default_factory=dict)
    weights: Annotated[str, one_of(WEIGHTS, "weights")] = "free"
    weights_options: dict[str, Any] = Field(default_factory=dict)
    uniform_weights: bool = False
    precision: Literal["auto", "float32", "float64"] = "auto"
    min_weight: float = Field(0.0, ge=0, lt=1)
    noise: Annotated[NoiseSection | None, BeforeValidator(_noise)] = Field(
        None, json_schema_extra=_short_forms
    )
    chain: ChainSection | None = None
    missing: bool = False
    dissimilarity: Annotated[Any, AfterValidator(_dissimilarity)] = None
    options: dict[str, Any] = Field(default_factory=dict)

    @classmethod
    def __get_pydantic_json_schema__(
        cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        schema = super().__get_pydantic_json_schema__(core_schema, handler)
        # It is no field, because its value is stored as `options`.
        schema["properties"]["dissimilarity_options"] = {
            "title": "Dissimilarity Options",
            "anyOf": [{"type": "object", "additionalProperties": True}, {"type": "null"}],
            "description": CONFIGURATION["model.dissimilarity_options"].sentences,
        }
        schema["properties"]["emission"] = {
            "title": "Emission",
            "anyOf": [{"type": "string"}, {"type": "null"}],
            "default": None,
            "description": CONFIGURATION["model.emission"].sentences,
        }
        return schema

    @model_serializer(mode="wrap")
    def _as_before(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Return the section as versions without hidden Markov models store it, if it is none."""
        values: dict[str, Any] = handler(self)
        return {key: one for key, one in values.items() if key != "chain" or one is not None}

    @model_validator(mode="before")
    @classmethod
    def _options_of_the_dissimilarity(cls, values: Any) -> Any:
        """Store ``dissimilarity_options``, a name that estimators use, as the model's options."""
        if not isinstance(values, Mapping) or "dissimilarity_options" not in values:
            return values
        rest = {key: value for key, value in values.items() if key != "dissimilarity_options"}
        if values["dissimilarity_options"] is None:  # An empty section means the defaults.
            return rest
        if values.get("name") != "kcentroids":
            raise ValueError(
                "dissimilarity_options are only for kcentroids; set name to kcentroids, or "
                "remove them."
            )
        if values.get("options"):
            raise ValueError(
                "options and dissimilarity_options mean the same; give only one of them."
            )
        name = str(values.get("dissimilarity") or "squared_euclidean")
        _check_options(name, values["dissimilarity_options"])
        return {**rest, "options": values["dissimilarity_options"]}

    @model_validator(mode="before")
    @classmethod
    def _emissions(cls, values: Any) -> Any:
        """Return ``name: hmm`` as a chain of states, whose family is ``emission``."""
        if not isinstance(values, Mapping):
            return values
        rest = {key: value for key, value in values.items() if key != "emission"}
        if values.get("name") != HMM:
            if values.get("emission") is not None:
                raise ValueError("emission is only for hmm; set name to hmm, or remove emission.")
            return rest
        emission = values.get("emission") or "diagonal"
        if emission in (*_CENTRES, HMM):
            raise ValueError(
                f"emission is {emission}, which has no density; expected a family, such as "
                "diagonal, full or poisson."
            )
        return {**rest, "name": emission, "chain": values.get("chain") or {}}

    @model_validator(mode="after")
    def _one_kind_of_chain(self) -> Self:
        if self.chain is None:
            return self
        if self.noise is not None:
            raise ValueError("a hidden Markov model has no noise; remove noise.")
        if self.name in _CENTRES:
            raise ValueError(f"chain is only for families, and {self.name} has no density.")
        if self.assignment not in ("soft", "hard"):
            raise ValueError(
                f"assignment is {self.assignment}; a hidden Markov model has soft (all paths) or "
                "hard (the most probable path)."
            )
        if self.weights_name != "free" or self.weights_options:
            raise ValueError(
                "a hidden Markov model has no mixture weights; leave weights out, and set "
                "model.chain.transition_prior for pseudo-counts."
            )
        return self

    @model_validator(mode="after")
    def _no_dissimilarity_but_of_centroids(self) -> Self:
        if self.dissimilarity is not None and self.name != "kcentroids":
            raise ValueError(
                f"the model {self.name} does not use a dissimilarity; set name to kcentroids, "
                "or remove dissimilarity."
            )
        return self

    @model_validator(mode="after")
    def _one_strategy(self) -> ModelSection:
        if self.uniform_weights and self.weights not in ("free", "uniform"):
            raise ValueError(
                f"uniform_weights and weights: {self.weights} contradict each other; give "
                "only one of them."
            )
        return self

    @property
    def title(self) -> str:
        """What is fitted, for pages: the name, or ``hmm`` with its emissions."""
        return self.name if self.chain is None else f"{HMM} ({self.name})"

    @property
    def weights_name(self) -> str:
        """The name of the way to estimate mixture weights."""
        return "uniform" if self.uniform_weights else self.weights
