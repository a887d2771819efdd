"""The responsibilities: a row's posterior probability of every component, side by side."""

from emdist.store.labels.outputs.base import LabelOutput, posterior

output = LabelOutput(
    2,
    "float32",
    "posterior probability of each component",
    lambda found, _: posterior(found),
    components="last",
    from_posterior=True,
)
