"""Write models in the formats of other programs: one format per file in `formats`."""
