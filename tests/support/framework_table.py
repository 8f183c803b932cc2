"""The tables of applications as their frameworks' tutorials make them: each fails in some place.

``FAILING``: name -> (maker, path, transaction, text of the error, status). ``FINE``: name -> (maker, path, status):
what is answered there is no error.
"""

from __future__ import annotations

FAILING = {}
FINE = {}


def failing(path, transaction, error="there is no order 7", status=500):
    def add(make):
        FAILING[make.__name__] = (make, path, transaction, error, status)
        return make

    return add


def fine(*requests):
    def add(make):
        for path, status in requests:
            FINE[f"{make.__name__} {path}"] = (make, path, status)
        return make

    return add
