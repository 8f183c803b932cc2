"""How events come into the inbox: HTTP, UDP and files."""
