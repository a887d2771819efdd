"""emdist beside its peers and the machine's limits, on the same data in the same run."""
