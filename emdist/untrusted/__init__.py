"""Files from untrusted sources: limits that hold before a library parses or unpacks a file.

One format per module. docs/untrusted-files.md lists what they promise. Chunks of Zarr arrays have
theirs in `emdist.store.chunks.bounded`, as a part of Zarr's codecs.
"""
