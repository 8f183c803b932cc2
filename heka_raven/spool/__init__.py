"""The spool's directory, its files and its counts."""
