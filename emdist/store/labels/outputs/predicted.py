"""The prediction of a hidden Markov model: the probability of every state in the next time step."""

from emdist.store.labels.outputs.base import LabelOutput, asked

output = LabelOutput(
    7,
    "float32",
    "probability of each state in the next time step",
    lambda found, _: asked(found.predicted),
    components="last",
    of_sequences=True,
)
