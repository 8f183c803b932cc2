"""Exceptions to Sentry events, the spool they wait in, and the sender that delivers them."""

__version__ = "1.0.0.dev0"

# What every event, request and User-Agent calls this software (Sentry's NAME/VERSION).
SDK_NAME = "heka-raven"
CLIENT_NAME = f"{SDK_NAME}/{__version__}"
