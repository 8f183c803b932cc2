"""The watch of any server from outside: what `heka-raven watch` does."""
