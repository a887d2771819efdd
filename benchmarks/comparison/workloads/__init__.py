"""Workloads: one module per group, whose function `workloads(size)` is found automatically."""
