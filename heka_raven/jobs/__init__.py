"""Everything that is no WSGI request: scripts, threads, tasks of asyncio, jobs of Celery, RQ and Dramatiq, commands."""
