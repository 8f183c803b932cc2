"""A wrong name of ``heka_raven``, as the original's documentation prints it."""
