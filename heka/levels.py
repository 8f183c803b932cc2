"""Between the severities of a message and the levels of the logging module."""

import logging

from heka.severity import SEVERITY

SEVERITY_MAP = {
    logging.NOTSET: SEVERITY.DEBUG,
    logging.DEBUG: SEVERITY.DEBUG,
    logging.INFO: SEVERITY.INFORMATIONAL,
    logging.WARNING: SEVERITY.WARNING,
    logging.ERROR: SEVERITY.ERROR,
    logging.CRITICAL: SEVERITY.CRITICAL,
}

LOGLEVEL_MAP = {
    SEVERITY.EMERGENCY: logging.CRITICAL,
    SEVERITY.ALERT: logging.CRITICAL,
    SEVERITY.CRITICAL: logging.CRITICAL,
    SEVERITY.ERROR: logging.ERROR,
    SEVERITY.WARNING: logging.WARNING,
    SEVERITY.NOTICE: logging.INFO,
    SEVERITY.INFORMATIONAL: logging.INFO,
    SEVERITY.DEBUG: logging.DEBUG,
}
