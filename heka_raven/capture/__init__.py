"""Exceptions, frames and values as plain data, without running any of the application's code."""
