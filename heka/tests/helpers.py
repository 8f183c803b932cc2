"""The import path of heka-py's test helpers; use :mod:`heka.testing`."""

from heka.testing import decode_message, dict_to_msg

__all__ = ["decode_message", "dict_to_msg"]
