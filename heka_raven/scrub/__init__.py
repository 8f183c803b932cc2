"""The only masker: private names, private texts, and the walk over an event. Pure."""
