"""waitress from Python: `python waitress_app.py`."""

import os

import waitress
from wsgi_app import make_application

if __name__ == "__main__":
    dsn = os.environ.get("HEKA_RAVEN_DSN", "http://key@127.0.0.1:9000/1")
    waitress.serve(make_application(dsn=dsn), listen=os.environ.get("LISTEN", "127.0.0.1:8080"))
