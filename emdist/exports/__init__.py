"""Write models in the formats of other programs: one format per file in `formats`."""

from emdist.exports.export import export as export
