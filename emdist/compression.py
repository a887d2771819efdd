"""Image compression by K-means, under its public name; `emdist.jobs.compress` does the work."""

from emdist.jobs.compress import compress_image, compressed_bits

__all__ = ["compress_image", "compressed_bits"]
