"""The severities of RFC 5424, the numbers a message carries. Pure."""


class SEVERITY:
    """Namespace of the eight syslog severities; the lower the worse."""

    EMERGENCY = 0
    ALERT = 1
    CRITICAL = 2
    ERROR = 3
    WARNING = 4
    NOTICE = 5
    INFORMATIONAL = 6
    DEBUG = 7
