"""Delivery: from the spool to a Sentry-compatible server."""
