"""The configuration as frozen and checked sections, and how it is made from plain values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self, get_args

from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationInfo,
    create_model,
    field_validator,
    model_validator,
)

from emdist.engines.threads import LocalEngine
from emdist.errors import ConfigError
from emdist.inputs.durations import duration_text
from emdist.inputs.plugins import plugins
from emdist.inputs.validation import (
    cache_size,
    key_fault,
    options_as_written,
    parse_bytes,
    run_key,
    size,
)
from emdist.parameters.choices import IfRunning, OutputName
from emdist.prepare.base import PrepareStep
from emdist.prepare.making import make_steps, steps_as_config
from emdist.settings.data import NEW_ROWS
from emdist.settings.data import DataSection as DataSection
from emdist.settings.data import IngestSection as IngestSection
from emdist.settings.data import NewDataSection as NewDataSection
from emdist.settings.data import ReadingSection as ReadingSection
from emdist.settings.drift import DriftSection as DriftSection
from emdist.settings.model import ASSIGNMENTS as ASSIGNMENTS
from emdist.settings.model import DISSIMILARITIES as DISSIMILARITIES
from emdist.settings.model import FAMILIES as FAMILIES
from emdist.settings.model import HMM as HMM
from emdist.settings.model import WEIGHTS as WEIGHTS
from emdist.settings.model import ChainSection as ChainSection
from emdist.settings.model import ModelSection as ModelSection
from emdist.settings.model import NoiseSection as NoiseSection
from emdist.settings.preparing import step_schema
from emdist.settings.section import PARAMETERS as PARAMETERS
from emdist.settings.section import Secrets, one_of
from emdist.settings.section import Section as Section
from emdist.settings.section import make_section as make_section

SEEDERS = "emdist.fit.seeding"
SCHEDULES = "emdist.fit.schedules"
CLUSTERS = "emdist.engines.clusters"


if TYPE_CHECKING:

    class _Origin(Section):
        pass

else:  # The key is a keyword of Python, so no class body can name it.
    _Origin = create_model("_Origin", __base__=Section, **{"from": (str | None, None)})


class FitSection(_Origin):
    """This section says how the model is fitted."""

    place = "fit"

    seed: int = Field(0, ge=0)
    init: Annotated[str, one_of(SEEDERS, "seeder")] | None = None
    start: str | None = None
    n_init: int = Field(1, ge=1)
    max_iter: int | None = Field(None, ge=1)
    tol: float | None = Field(None, ge=0, allow_inf_nan=False)
    on_collapse: Literal["regularise", "reseed", "drop", "raise"] | None = None
    sample_rows: int | None = Field(None, ge=1)
    schedule: Annotated[str, one_of(SCHEDULES, "schedule")] = "auto"
    schedule_options: dict[str, Any] = Field(default_factory=dict)

    @property
    def origin(self) -> str | None:
        """The key ``from``: the earlier model that the fit starts from, or None."""
        found: str | None = getattr(self, "from")
        return found


class ClusterSection(Section):
    """This section says where the fit runs: on threads of this process, or on a Dask cluster."""

    place = "cluster"

    model_config = ConfigDict(extra="allow")

    kind: Annotated[str, one_of(CLUSTERS, "cluster", ["threads"])] = "threads"
    stall_timeout: float = Field(600.0, gt=0, allow_inf_nan=False)
    memory: Annotated[str, AfterValidator(size)] | None = None
    cache: Annotated[str, BeforeValidator(cache_size)] = "auto"

    @model_validator(mode="before")
    @classmethod
    def _options_as_written(cls, values: Any) -> Any:
        """Return the cluster's own options as the types that they need: text or numbers."""
        if not isinstance(values, Mapping):
            return values
        known = LocalEngine
        if (kind := values.get("kind", "threads")) != "threads":
            known = plugins(CLUSTERS, "cluster").get(str(kind), LocalEngine)
        own = {key: value for key, value in values.items() if key not in cls.model_fields}
        return {**values, **options_as_written(known, own)}

    @property
    def options(self) -> dict[str, Any]:
        """All keys that belong to this kind of cluster only."""
        return dict(self.model_extra or {})

    @property
    def memory_bytes(self) -> int | None:
        """`memory` in bytes, or None."""
        return None if self.memory is None else parse_bytes(self.memory)

    @property
    def own_memory(self) -> int | None:
        """`memory` in bytes if it is that of this process; None if it is that of workers."""
        return self.memory_bytes if self.kind == "threads" else None


def _prom(path: str) -> str:
    """Return `path` if the collector of a node exporter would read it."""
    if "://" in path or not path.endswith(".prom"):
        raise ValueError(
            f"expected the path of a local file whose name ends in .prom, got {path!r}"
        )
    return path


class RunSection(Section):
    """This section says where checkpoints and results go, and how often checkpoints are written."""

    place = "run"

    folder: str = "runs"
    key: Annotated[str, AfterValidator(run_key)] | None = None
    checkpoint_seconds: float = Field(60.0, gt=0)
    checkpoint_iterations: int | None = Field(None, ge=1)
    keep_last: int = Field(3, ge=1)
    keep_every: int = Field(0, ge=0)
    retention: Annotated[str, AfterValidator(duration_text)] | None = None
    retention_keep_model: bool = True
    extend: bool = False
    if_running: IfRunning = "take_over"
    skip_late: Annotated[str, AfterValidator(duration_text)] | None = None
    plan: Literal["auto", "always", "never"] = "auto"
    metrics_file: Annotated[str, AfterValidator(_prom)] | None = None
    storage_options: Secrets = Field(default_factory=dict, repr=False)


class LabelsSection(Section):
    """This section says what is written for every row after the fit."""

    place = "labels"

    write: bool = True
    path: str | None = None
    outputs: list[OutputName] = Field(["labels"])
    components: list[int] | None = None
    overwrite: bool = False
    storage_options: Secrets = Field(default_factory=dict, repr=False)

    @field_validator("outputs")
    @classmethod
    def _something(cls, outputs: list[str], info: ValidationInfo) -> list[str]:
        """Refuse an empty list before the fit, and not when labels are due after it."""
        if not outputs and info.data.get("write", True):
            raise ValueError(
                f"expected at least one of {', '.join(get_args(OutputName))}, got []. To fit "
                "without labels, set labels.write to 'false'."
            )
        return outputs


def _steps(values: list[Any]) -> list[Any]:
    """Return the steps in the one form that is stored and compared."""
    return steps_as_config(values)


class Config(Section):
    """The configuration of one fit: data, model, fit, cluster, run and labels are its sections."""

    data: DataSection
    ingest: IngestSection | None = None
    prepare: Annotated[list[Any], AfterValidator(_steps)] = Field([], json_schema_extra=step_schema)
    model: ModelSection = Field(ModelSection(), validate_default=True)
    fit: FitSection = FitSection()
    drift: DriftSection = DriftSection()
    cluster: ClusterSection = ClusterSection()
    run: RunSection = RunSection()
    labels: LabelsSection = LabelsSection()

    @model_validator(mode="before")
    @classmethod
    def _no_steps(cls, values: Any) -> Any:
        """Return the values without an empty key ``prepare``, which stands for no steps."""
        if isinstance(values, Mapping) and values.get("prepare", ()) is None:
            return {key: value for key, value in values.items() if key != "prepare"}
        return values

    @field_validator("model")
    @classmethod
    def _told_of_missing(cls, model: ModelSection, info: ValidationInfo) -> ModelSection:
        """Return the model; it accepts missing values if the data may have them."""
        told = "data" in info.data and info.data["data"].non_finite == "missing"
        return model.model_copy(update={"missing": True}) if told else model

    @model_validator(mode="after")
    def _sequences_of_a_chain(self) -> Self:
        """Refuse sequences for models that do not look at the order of rows."""
        told = self.data.in_sequences
        if told and self.model.chain is None:
            raise ValueError(
                f"data.{told[0]} is only for hidden Markov models, and model.name is "
                f"{self.model.name}. Set model.name to '{HMM}', or leave data.{told[0]} out."
            )
        return self

    @model_validator(mode="after")
    def _one_start(self) -> Self:
        """Refuse settings that choose starting values in another way than ``fit.from``."""
        fit = self.fit
        others = [name for name in ("start", "init") if getattr(fit, name) is not None]
        others += ["n_init"] * (fit.n_init > 1)
        if fit.origin is not None and others:
            raise ValueError(
                "fit.from starts from the parameters of an earlier model, so "
                f"fit.{others[0]} would have no effect. Set only one of the two."
            )
        return self

    @model_validator(mode="after")
    def _new_rows(self) -> Self:
        """Refuse settings that do not go with ``data.select_rows: new``."""
        if self.data.select_rows == NEW_ROWS and self.labels.path is None:
            raise ValueError(
                "data.select_rows 'new' stands for the rows that the labels at labels.path do not "
                "have yet. Set labels.path, or give the rows, as in '500000:'."
            )
        if self.data.select_rows == NEW_ROWS and self.labels.write:
            raise ValueError(
                "data.select_rows is 'new', so the labels at labels.path are of other rows and of "
                "an earlier model. Set labels.write to 'false', and label the new rows afterwards "
                "by `emdist label --append`."
            )
        return self

    def identity(self) -> dict[str, Any]:
        """Return the part that decides the result, which is compared with a run folder's."""
        data = self.data.identity()
        prepare = {"prepare": self.prepare} if self.prepare else {}
        fit = self.fit.model_dump(exclude={"from"} if self.fit.origin is None else None)
        # For other models they are the same, and runs of versions without 'auto' are found again.
        if fit["schedule"] == "auto" and not self.has_kmeans:
            fit["schedule"] = "batch"
        return {"data": data, **prepare, "model": self.model.model_dump(), "fit": fit}

    @property
    def has_kmeans(self) -> bool:
        """Whether K-means is fitted."""
        return self.model.name == "kmeans"

    @property
    def steps(self) -> tuple[PrepareStep, ...]:
        """The steps that prepare rows."""
        return make_steps(self.prepare)

    def what(self) -> str:
        """Return what is fitted, as part of the default name of a run."""
        model = self.model
        chained = "" if model.chain is None else f"{HMM}-"
        return f"{chained}{model.name}-{model.n_components}"

    def key(self, key: str | None = None) -> str | None:
        """Return the name of the run: the configured one, or else `key`; None for the default.

        Raises
        ------
        ConfigError
            If `key` is not a valid name, or if a run that is to be extended has no name.
        """
        if key is not None and (why := key_fault(key)) is not None:
            raise ConfigError(f"the run key {key[:60]!r} {why}.")
        if self.run.extend and not (self.run.key or key):
            raise ConfigError(
                "Set run.key to the name of the run to extend. By default the name follows "
                "from the settings, and extending a run changes one of them."
            )
        return self.run.key or key


class LabellingConfig(Section):
    """The configuration of `emdist label` says which data to label, and where to run."""

    data: NewDataSection
    cluster: ClusterSection = ClusterSection()


def make_config(
    values: Mapping[str, Any],
    where: str = "the configuration",
    names: Mapping[str, str] | None = None,
) -> Config:
    """Return a checked `Config`; raise ConfigError with every fault, its place and the remedy.

    `names` says what the user calls a key, if that differs from the configuration.
    """
    if "sweep" in values:
        file = f" -f {where}" if where.lower().endswith((".yaml", ".yml")) else ""
        flow = f" or `emdist flow sweep {where}`" if file else ""
        raise ConfigError(
            f"{where} has the section sweep, which fits several models. Start it by `emdist sweep"
            f"{file}`{flow}, or leave the section out to fit one model."
        )
    if "daily" in values:
        raise ConfigError(
            f"{where} has the section daily, which is for data that grow. Start it by `emdist flow "
            "daily`, or leave the section out to fit one model."
        )
    return make_section(Config, values, where, names)
