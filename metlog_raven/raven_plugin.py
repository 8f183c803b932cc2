"""A wrong name of ``heka_raven.raven_plugin``, as the original's documentation prints it."""

from heka.wrong_names import forward_names

__getattr__ = forward_names("metlog_raven.raven_plugin", "heka_raven.raven_plugin")
