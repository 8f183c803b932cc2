"""Bytes in, values out: the DSN, the envelope, text. Pure; every other room may import it."""
