"""The watch under gunicorn: a timeout, a crash, a kill, a slow request is an event with the request that was running.

In ``gunicorn.conf.py``, below the hooks of your own::

    import heka_raven.gunicorn
    heka_raven.gunicorn.watch(globals(), dsn="https://KEY@host/1", slow=10)
"""

from heka_raven.gunicorn.hooks import watch

__all__ = ["watch"]
