"""Decorators that look the client up when the function is called, because configuration comes later than imports."""

from heka.decorators.stats import incr_count, timeit

__all__ = ["incr_count", "timeit"]
