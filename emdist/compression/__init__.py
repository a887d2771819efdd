"""Image compression by K-means: an application that uses emdist as its users do."""

from emdist.compression.image import compress_image, compressed_bits

__all__ = ["compress_image", "compressed_bits"]
