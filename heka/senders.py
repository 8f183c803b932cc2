"""A wrong name of :mod:`heka.streams`, as the original's documentation prints it."""

from heka.wrong_names import forward_names

__getattr__ = forward_names("heka.senders", "heka.streams")
