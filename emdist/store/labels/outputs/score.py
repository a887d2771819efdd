"""The score of each row: its log-likelihood in nats, or its distance from the centre."""

from emdist.store.labels.outputs.base import LabelOutput

output = LabelOutput(
    1,
    "float64",
    "log-likelihood in nats, or distance from the centre",
    lambda found, _: found.score,
)
