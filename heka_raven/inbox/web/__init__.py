"""The inbox's pages and its HTTP door."""
