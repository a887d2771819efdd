"""The configuration: YAML to frozen, checked models, once, at the edge."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationInfo,
    field_validator,
    model_validator,
)

from emdist.dissimilarities.choose import checked_name
from emdist.engines.threads import LocalEngine
from emdist.errors import ConfigError
from emdist.inputs.plugins import family_name, plugins
from emdist.inputs.validation import options_as_written, run_key, size
from emdist.settings.data import DataSection as DataSection
from emdist.settings.data import IngestSection as IngestSection
from emdist.settings.data import NewDataSection as NewDataSection
from emdist.settings.data import ReadingSection as ReadingSection
from emdist.settings.section import PARAMETERS as PARAMETERS
from emdist.settings.section import Secrets, one_of
from emdist.settings.section import Section as Section
from emdist.settings.section import make_section as make_section
from emdist.store.places.location import Location

FAMILIES = "emdist.families"
ASSIGNMENTS = "emdist.models.assignments"
WEIGHTS = "emdist.models.weights"
SEEDERS = "emdist.fit.seeding"
SCHEDULES = "emdist.fit.schedules"
CLUSTERS = "emdist.engines.clusters"


#: What YAML 1.1 takes for true and false, and YAML 1.2 for text.
_SAID = {"yes": True, "on": True, "no": False, "off": False}


class NoiseSection(Section):
    """Uniform noise beside the components of a family of real numbers."""

    weight: float = Field(0.05, gt=0, lt=1, description="Share of the rows at the start")
    volume: float | None = Field(
        None, gt=0, allow_inf_nan=False, description="Default that of the data's bounding box"
    )


def _noise(value: Any) -> Any:
    """``true`` and a weight alone, in full."""
    value = _SAID.get(value.lower(), value) if isinstance(value, str) else value
    if isinstance(value, bool):
        return {} if value else None
    return {"weight": value} if isinstance(value, int | float) else value


class ModelSection(Section):
    """What is fitted."""

    name: Annotated[
        str,
        AfterValidator(family_name),
        one_of(FAMILIES, "family", ["kmeans", "kmedians", "kcentroids"]),
    ] = Field(
        "kmeans",
        description="kmeans, kmedians, kcentroids, or a family: full, tied, diagonal, spherical, "
        "isotropic, bernoulli, binomial, binomial_pairs, poisson, multinomial, categorical, "
        "product, variational_full and the like",
    )
    n_components: int = Field(8, ge=1)
    assignment: Annotated[str, one_of(ASSIGNMENTS, "assignment")] = Field(
        "soft", description="soft, hard, tempered (deterministic annealing) or stochastic"
    )
    assignment_options: dict[str, Any] = Field(
        default_factory=dict, description="Such as start, factor and end of the temperature"
    )
    weights: Annotated[str, one_of(WEIGHTS, "weights")] = Field(
        "free",
        description="How mixture weights are estimated: free, uniform, dirichlet, "
        "variational_dirichlet, variational_process",
    )
    weights_options: dict[str, Any] = Field(
        default_factory=dict, description="Of the weights, such as concentration"
    )
    uniform_weights: bool = Field(False, description="Short for weights: uniform")
    precision: Literal["auto", "float32", "float64"] = "auto"
    min_weight: float = Field(
        0.0, ge=0, lt=1, description="Share of the weight below which a component has collapsed"
    )
    noise: Annotated[NoiseSection | None, BeforeValidator(_noise)] = Field(
        None, description="true, a weight to start with, or weight and volume; labels are -1"
    )
    missing: bool = Field(False, description="Whether NaN is missing; set by data.non_finite")
    dissimilarity: Annotated[Any, AfterValidator(checked_name)] = Field(
        None,
        description="For kcentroids: squared_euclidean, cosine, mahalanobis, kullback_leibler, "
        "generalised_i, itakura_saito, logistic",
    )
    options: dict[str, Any] = Field(
        default_factory=dict,
        description="Of the family, such as reg_covar, trials, categories; or the dissimilarity",
    )

    @model_validator(mode="before")
    @classmethod
    def _options_of_the_dissimilarity(cls, values: Any) -> Any:
        """``dissimilarity_options``, as estimators call them: kept as the model's options."""
        if not isinstance(values, Mapping) or "dissimilarity_options" not in values:
            return values
        if values.get("name") != "kcentroids":
            raise ValueError(
                "dissimilarity_options are of kcentroids; set name to it, or remove them."
            )
        if values.get("options"):
            raise ValueError("options and dissimilarity_options are the same; give one of them.")
        rest = {key: value for key, value in values.items() if key != "dissimilarity_options"}
        return {**rest, "options": values["dissimilarity_options"] or {}}

    @model_validator(mode="after")
    def _no_dissimilarity_but_of_centroids(self) -> Self:
        if self.dissimilarity is not None and self.name != "kcentroids":
            raise ValueError(
                f"the model {self.name} has no dissimilarity; set name to kcentroids, or remove "
                "dissimilarity."
            )
        return self

    @model_validator(mode="after")
    def _one_strategy(self) -> ModelSection:
        if self.uniform_weights and self.weights not in ("free", "uniform"):
            raise ValueError(f"uniform_weights and weights: {self.weights}; give one of them.")
        return self

    @property
    def weights_name(self) -> str:
        """Of the strategy for the weights."""
        return "uniform" if self.uniform_weights else self.weights


class FitSection(Section):
    """How it is fitted."""

    seed: int = Field(0, ge=0)
    init: Annotated[str, one_of(SEEDERS, "seeder")] | None = Field(
        None,
        description="Seeder; default k-means++ where there are centres, kmeans for mixtures, "
        "standardised for products, cleaned with noise",
    )
    start: str | None = Field(
        None, description=".npz with means (k, d) and, if wanted, weights and the family's scales"
    )
    n_init: int = Field(1, ge=1)
    max_iter: int | None = Field(
        None, ge=1, description="Default 300 for kmeans and kmedians, 1000 for posteriors, else 100"
    )
    tol: float | None = Field(
        None,
        ge=0,
        allow_inf_nan=False,
        description="Default 1e-3 nats a row, of all rows for posteriors; 1e-4 of the mean "
        "variance for kmeans, 0 for kmedians, which are exact then",
    )
    on_collapse: Literal["regularise", "reseed", "drop", "raise"] | None = Field(
        None, description="Default reseed for kmeans and kmedians, regularise otherwise"
    )
    sample_rows: int | None = Field(None, ge=1, description="Rows held for seeding")
    schedule: Annotated[str, one_of(SCHEDULES, "schedule")] = Field(
        "batch", description="How passes become iterations"
    )
    schedule_options: dict[str, Any] = Field(default_factory=dict)


class ClusterSection(Section):
    """Where it runs: ``threads`` in this process, or a kind of Dask cluster with its options."""

    model_config = ConfigDict(extra="allow")

    kind: Annotated[str, one_of(CLUSTERS, "cluster", ["threads"])] = "threads"
    stall_timeout: float = Field(
        600.0,
        gt=0,
        allow_inf_nan=False,
        description="Seconds without progress before blocks are given to others",
    )
    memory: Annotated[str, AfterValidator(size)] | None = Field(
        None,
        description="Of a process, such as '4 GiB'; what work leaves reads ahead and keeps blocks",
    )

    @model_validator(mode="before")
    @classmethod
    def _options_as_written(cls, values: Any) -> Any:
        """Text and numbers as the kind's own options want them."""
        if not isinstance(values, Mapping):
            return values
        known = LocalEngine
        if (kind := values.get("kind", "threads")) != "threads":
            known = plugins(CLUSTERS, "cluster").get(str(kind), LocalEngine)
        own = {key: value for key, value in values.items() if key not in cls.model_fields}
        return {**values, **options_as_written(known, own)}

    @property
    def options(self) -> dict[str, Any]:
        """All keys that are the kind's own."""
        return dict(self.model_extra or {})


class RunSection(Section):
    """Where checkpoints and results go, and how often."""

    folder: str = "runs"
    key: Annotated[str, AfterValidator(run_key)] | None = Field(
        None, description="Name of the run; the same key resumes it"
    )
    checkpoint_seconds: float = Field(60.0, gt=0)
    checkpoint_iterations: int | None = Field(None, ge=1)
    keep_last: int = Field(3, ge=1)
    keep_every: int = Field(0, ge=0)
    extend: bool = Field(
        False,
        description="Whether a run that is there goes on with another fit.max_iter or fit.tol",
    )
    storage_options: Secrets = Field(default_factory=dict, repr=False)


class LabelsSection(Section):
    """What is written for every row once the fit is done."""

    write: bool = True
    path: str | None = Field(None, description="Default labels.zarr in the run's folder")
    outputs: list[Literal["labels", "score", "responsibilities"]] = Field(["labels"])
    overwrite: bool = False
    storage_options: Secrets = Field(default_factory=dict, repr=False)

    @field_validator("outputs")
    @classmethod
    def _something(cls, outputs: list[str], info: ValidationInfo) -> list[str]:
        """Before the fit: what nobody can write would be refused after it."""
        if not outputs and info.data.get("write", True):
            raise ValueError(
                "got []; wanted at least one of labels, score, responsibilities. A fit "
                "without labels has labels.write: false."
            )
        return outputs


class Config(Section):
    """One fit: data, model, fit, cluster, run, labels."""

    data: DataSection
    ingest: IngestSection | None = None
    model: ModelSection = Field(ModelSection(), validate_default=True)
    fit: FitSection = FitSection()
    cluster: ClusterSection = ClusterSection()
    run: RunSection = RunSection()
    labels: LabelsSection = LabelsSection()

    @field_validator("model")
    @classmethod
    def _told_of_missing(cls, model: ModelSection, info: ValidationInfo) -> ModelSection:
        """The model, which has a density of incomplete rows where the data may have such."""
        told = "data" in info.data and info.data["data"].non_finite == "missing"
        return model.model_copy(update={"missing": True}) if told else model

    def identity(self) -> dict[str, Any]:
        """The part that decides the result: what a run folder is held to."""
        data = self.data.model_dump(exclude={"storage_options"})
        # Absolute, so that a run is found again from another working directory.
        data["path"] = str(Location(self.data.path))
        if self.data.weights is not None:
            data["weights"] = str(Location(self.data.weights))
        return {"data": data, "model": self.model.model_dump(), "fit": self.fit.model_dump()}

    def what(self) -> str:
        """What is fitted, as part of the default name of a run."""
        return f"{self.model.name}-{self.model.n_components}"


def check_named(config: Config, key: str | None) -> None:
    """ConfigError for a run that is to be extended and has no name."""
    if config.run.extend and not (config.run.key or key):
        raise ConfigError(
            "Name the run that is to be extended (run.key). The default name is that of the "
            "settings, of which one is to change."
        )


class LabellingConfig(Section):
    """What `emdist label` reads, and where it runs."""

    data: NewDataSection
    cluster: ClusterSection = ClusterSection()


def make_config(
    values: Mapping[str, Any],
    where: str = "the configuration",
    names: Mapping[str, str] | None = None,
) -> Config:
    """A checked `Config`; ConfigError with every fault, its place (see `names`) and the remedy."""
    return make_section(Config, values, where, names)
