"""The largest posterior probability of each row: that of its label."""

from emdist.store.labels.outputs.base import LabelOutput, posterior

output = LabelOutput(
    4,
    "float32",
    "largest posterior probability of a component",
    lambda found, _: posterior(found).max(axis=1),
    from_posterior=True,
    of_mixtures=True,
)
