"""Video super-resolution and deblurring as a stream."""

__version__ = "0.1.0"
