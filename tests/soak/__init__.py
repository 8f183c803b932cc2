"""Servers for hours, with everything that goes wrong at random, and an account at the end: `./run soak MINUTES`."""
