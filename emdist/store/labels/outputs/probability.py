"""The posterior probability of chosen components, one map for each: (component, rows...)."""

from emdist.store.labels.outputs.base import LabelOutput, posterior

output = LabelOutput(
    3,
    "float32",
    "posterior probability of the component",
    lambda found, columns: posterior(found)[:, columns],
    components="first",
    chosen=True,
    from_posterior=True,
    of_mixtures=True,
)
