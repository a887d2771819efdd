"""One file per group of workloads; `workloads(size)` of each is found by existing."""
