"""A small Sentry-compatible inbox: takes events over HTTP and UDP, keeps them in SQLite, shows them as web pages."""
