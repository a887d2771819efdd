"""The label of each row: the component with the largest posterior probability, or the cluster."""

from emdist.store.labels.outputs.base import LabelOutput

output = LabelOutput(0, "int32", "component of each row", lambda found, _: found.labels)
