"""The filtered posteriors of a hidden Markov model: of every state, given the rows so far."""

from emdist.store.labels.outputs.base import LabelOutput, asked

output = LabelOutput(
    6,
    "float32",
    "probability of each state given the rows so far",
    lambda found, _: asked(found.filtered),
    components="last",
    of_sequences=True,
)
