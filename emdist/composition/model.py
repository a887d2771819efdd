"""Makes the model, its schedule and its stored types from the settings of a configuration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from emdist.components import Components, Family
from emdist.dissimilarities.base import Dissimilarity
from emdist.dissimilarities.own import OwnPair
from emdist.errors import ConfigError
from emdist.families.closures import Posteriors
from emdist.families.product import Product
from emdist.fit.criteria import Kind
from emdist.fit.fit import Schedule
from emdist.fit.fitted import Fitted
from emdist.inputs.plugins import plugin
from emdist.inputs.validation import checked_options
from emdist.interfaces import Model, Spread
from emdist.mixtures.distribution import MixtureDistribution
from emdist.models.assignments import Assignment
from emdist.models.chains.estimates import ChainEstimate
from emdist.models.chains.params import HiddenMarkovParams
from emdist.models.hidden_markov import HiddenMarkov
from emdist.models.kcentroids import KCentroidsModel
from emdist.models.kmedians import KMediansModel
from emdist.models.mixture import Mixture
from emdist.models.noise.components import WithNoise
from emdist.models.noise.mixture import NoiseMixture, NoisyParams
from emdist.models.noise.weights import BesideNoise
from emdist.models.params import MixtureParams
from emdist.models.weights import Posterior, Weights
from emdist.settings.config import (
    ASSIGNMENTS,
    DISSIMILARITIES,
    FAMILIES,
    SCHEDULES,
    WEIGHTS,
    ChainSection,
    FitSection,
    ModelSection,
    NoiseSection,
)

#: The names of models that are hard clustering around centres.
CENTROIDS = ("kmeans", "kcentroids")
#: The names of models without a density.
CENTRES = (*CENTROIDS, "kmedians")


def named(
    package: str,
    kind: str,
    name: str,
    options: Mapping[str, Any],
    where: str,
    others: Sequence[str] = (),
) -> Any:
    """Return the plug-in of a `kind` called `name`, made from its options, set at the key `where`.

    `others` are further keys at `where`. Raises ConfigError if there is no such plug-in, or if it
    does not have these options.
    """
    return checked_options(plugin(package, kind, name), options, where, others)


def make_family(section: ModelSection) -> Family[Any]:
    """Return the family of a model, with its options checked."""
    family: Family[Any] = named(FAMILIES, "family", section.name, section.options, "model.options")
    return family


def make_components(section: ModelSection) -> Components[Any] | KMediansModel:
    """Return the components of a model: a family, a dissimilarity of K-centroids, or K-medians.

    They accept missing values if the section says so. Raises ConfigError if they cannot.
    """
    whole = _complete_components(section)
    return whole.with_missing() if section.missing else whole


def _complete_components(section: ModelSection) -> Components[Any] | KMediansModel:
    if section.name in CENTROIDS:
        return make_dissimilarity(section)
    return make_kmedians(section) if section.name == "kmedians" else make_family(section)


def make_kmedians(section: ModelSection) -> KMediansModel:
    """Return K-medians with its options checked."""
    settings = {"precision": section.precision, **section.options}
    model: KMediansModel = checked_options(KMediansModel, settings, "model.options")
    return model


def make_dissimilarity(section: ModelSection) -> Dissimilarity[Any]:
    """Return the dissimilarity of K-centroids, or that of K-means, which has no options."""
    if section.name == "kmeans" and section.options:
        raise ConfigError(
            f"model.options {sorted(section.options)}: kmeans has no options. Remove them, or "
            "use a family (full, tied, diagonal, spherical)."
        )
    return dissimilarity_of(section.dissimilarity, section.options)


def dissimilarity_of(name: str | OwnPair | None, options: Mapping[str, Any]) -> Dissimilarity[Any]:
    """Return the dissimilarity called `name`, or the user's own pair unchanged.

    None means that of K-means.

    Raises
    ------
    ConfigError
        If there is no dissimilarity of that name, or it does not have these options.
    """
    if isinstance(name, OwnPair):
        if options:
            raise ConfigError(
                f"model.options {sorted(options)}: a dissimilarity that is your own function "
                "has no options. Make them part of the function, for example with "
                "functools.partial."
            )
        return name
    found: Dissimilarity[Any] = named(
        DISSIMILARITIES, "dissimilarity", name or "squared_euclidean", options, "model.options"
    )
    return found


def kind_of(section: ModelSection) -> Kind:
    """Return the kind of model, which decides which criteria there are."""
    if section.name in CENTROIDS and section.dissimilarity in (None, "squared_euclidean"):
        return "kmeans"
    if section.name in CENTRES:
        return "kmedians" if section.name == "kmedians" else "centres"
    posterior = isinstance(make_weights(section), Posterior) or _is_posterior(make_family(section))
    return "posterior" if posterior else "mixture"


def _is_posterior(family: Family[Any]) -> bool:
    if isinstance(family, Product):
        return any(_is_posterior(part) for _, part in family.parts)
    return isinstance(family, Posteriors)


def _assignment(section: ModelSection) -> Assignment:
    """Return how rows are shared among components, with its options checked."""
    name, options = section.assignment, section.assignment_options
    made: Assignment = named(ASSIGNMENTS, "assignment", name, options, "model.assignment_options")
    return made


def make_weights(section: ModelSection) -> Weights:
    """Return how the mixture weights of a model are estimated, with the options checked."""
    name, options = section.weights_name, section.weights_options
    weights: Weights = named(WEIGHTS, "weights", name, options, "model.weights_options")
    return weights


def make_model(section: ModelSection, spread: Spread | None = None) -> Model[Any]:
    """Return K-means, K-centroids, K-medians or a mixture; a fit needs the data's `spread`.

    The model accepts missing values if the section says so.
    """
    model: KMediansModel | Mixture[Any]
    if section.noise is not None:
        return _with_noise(section, section.noise, spread)
    if section.chain is not None:
        return make_chain(section, section.chain, spread)
    if section.name in CENTROIDS:
        model = KCentroidsModel(make_dissimilarity(section), precision=section.precision)
    elif section.name == "kmedians":
        model = make_kmedians(section)
    else:
        model = make_mixture(section, spread)
    return model.with_missing() if section.missing else model


def make_mixture(section: ModelSection, spread: Spread | None = None) -> Mixture[Any]:
    """Return a mixture of the named family, for complete rows; a fit needs the `spread`."""
    family = make_family(section)
    return Mixture(
        family if spread is None else family.informed(spread),
        _assignment(section),
        make_weights(section),
        section.precision,
        section.min_weight,
    )


def make_chain(
    section: ModelSection, chain: ChainSection, spread: Spread | None = None
) -> HiddenMarkov[Any]:
    """Return the hidden Markov model whose states have the named family."""
    family = make_family(section)
    if _is_posterior(family):
        raise ConfigError(
            f"{section.name} has posteriors in place of parameters, which a hidden Markov model "
            "does not use. Use full, tied, diagonal or spherical, with a prior in model.options."
        )
    mixture: Mixture[Any] = Mixture(
        family if spread is None else family.informed(spread),
        precision=section.precision,
        min_weight=section.min_weight,
    )
    model = HiddenMarkov(
        mixture,
        ChainEstimate(chain.start, chain.start_prior, chain.transition_prior),
        section.assignment == "hard",
    )
    return model.with_missing() if section.missing else model


def _with_noise(section: ModelSection, noise: NoiseSection, spread: Spread | None) -> Model[Any]:
    """Return the mixture of the named family, with uniform noise."""
    if section.name in CENTRES:
        raise ConfigError(
            f"model.noise: {section.name} has no density to compare with that of noise. Remove "
            "the noise, or use a family (full, tied, diagonal, spherical)."
        )
    family: WithNoise[Any] = WithNoise(make_family(section), noise.volume)
    if section.missing:
        family.with_missing()
    mixture: Mixture[Any] = Mixture(
        family if spread is None else family.informed(spread),
        _assignment(section),
        BesideNoise(make_weights(section)),
        section.precision,
        section.min_weight,
    )
    return NoiseMixture(mixture, noise.weight)


def default_seeder(section: ModelSection) -> str:
    """Return the name of the seeder to use if the configuration gives none."""
    if section.name in CENTRES:
        return "k-means++"
    if section.noise is not None:
        # K-means puts centres on outliers, and EM then leaves components there.
        return "cleaned"
    # Features of different families have no common unit to measure distances in.
    return "standardised" if section.name == "product" else "kmeans"


def make_distribution(section: ModelSection, fitted: Fitted) -> MixtureDistribution:
    """Return the fitted mixture as a distribution; raise ConfigError if it has none.

    It is in the units of the data, or of prepared rows if the model prepares them.
    """
    model = make_model(section)
    if isinstance(model, NoiseMixture):
        raise ConfigError(
            "A mixture with noise has no distribution(), because noise has no moments or "
            "marginals in the family of the mixture. Use score_samples and sample of the "
            "estimator, or fit without noise."
        )
    if section.chain is not None:
        raise ConfigError(
            "A hidden Markov model has no distribution(): its rows depend on one another. Use "
            "score, decode, predict_proba and sample of the estimator."
        )
    if section.name in CENTRES:
        raise ConfigError(
            f"A model {section.name!r} is not a mixture: its clusters have no weights and no "
            "widths. Fit a mixture instead (spherical Gaussians are the nearest to K-means)."
        )
    params = model.translate(fitted.params, fitted.spread.origin)
    family, components = make_family(section), params.components
    if isinstance(family, Posteriors):
        family, components = family.expected_components(components)
    return MixtureDistribution(family, params.weights, components, fitted.prepared_names)


def free_parameters(section: ModelSection, n_components: int, n_features: int) -> int:
    """Return how many free parameters a mixture of this size has, for information criteria."""
    weights = 0 if section.weights_name == "uniform" else n_components - 1
    if section.chain is not None:
        weights = n_components * (n_components - 1)
        weights += n_components - 1 if section.chain.start == "free" else 0
    if section.noise is not None:
        # The weight of noise, and its volume if that is estimated too, as mclust counts them.
        weights += 1 + int(section.noise.volume is None)
    return int(make_family(section).free_parameters(n_components, n_features) + weights)


def param_types(section: ModelSection, schedule: Schedule | None = None) -> dict[str, Any]:
    """Return the types of those fields of a stored state or model that depend on the model."""
    params: type[Any] = MixtureParams if section.noise is None else NoisyParams
    return {
        "params": params if section.chain is None else HiddenMarkovParams,
        "components": make_components(section).params,
        "memory": type(None) if schedule is None else schedule.memory,
    }


def make_schedule(section: FitSection, model: Model[Any]) -> Schedule:
    """Return the schedule with its options checked; raise ConfigError if it cannot fit `model`."""
    name, options = section.schedule, section.schedule_options
    made: Schedule = named(SCHEDULES, "schedule", name, options, "fit.schedule_options")
    made.check(model)
    if getattr(made, "stream", False) and section.n_init > 1:
        raise ConfigError(
            f"A stream is one fit that goes on with each run, but fit.n_init is {section.n_init}. "
            "Set fit.n_init to '1', or leave stream out of fit.schedule_options."
        )
    if isinstance(model, HiddenMarkov) and name not in ("auto", "batch"):
        raise ConfigError(
            f"fit.schedule: {name} adds or extrapolates parts of passes, which the counts of a "
            "hidden Markov model do not allow. Set fit.schedule to 'batch'."
        )
    return made
