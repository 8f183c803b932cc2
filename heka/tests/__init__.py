"""Import paths that other projects' tests use; the code is in :mod:`heka.testing`."""
