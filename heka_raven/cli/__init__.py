"""The command `heka-raven`: one file a subcommand. Nobody imports this room; it imports whatever it needs."""
