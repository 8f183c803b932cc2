"""The demo under gunicorn: `./run demo --server gunicorn`, which sets SENTRY_DSN and DEMO_LISTEN."""

import os

import heka_raven.gunicorn

bind = os.environ["DEMO_LISTEN"]
wsgi_app = "app:application"
workers = 2
timeout = 6
backlog = 8  # small, so that a full queue is quickly shown

heka_raven.gunicorn.watch(globals(), dsn=os.environ["SENTRY_DSN"], slow=3, release="demo-1", environment="demo")
