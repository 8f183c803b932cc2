"""An event as JSON: built from what was captured, encoded, and rewritten for old servers. Pure."""
