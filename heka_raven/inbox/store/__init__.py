"""The inbox's events in SQLite: schema, writes, queries, retention."""
