"""Profiles of clusters: what their rows have, feature by feature, from one pass over the rows."""
