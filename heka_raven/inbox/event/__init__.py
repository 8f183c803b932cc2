"""One event as the inbox shows it, whatever its protocol was. Pure."""
