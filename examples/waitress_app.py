"""waitress, started from Python; wsgi_app.py stands beside this file.

    heka-raven inbox          # in another terminal: http://127.0.0.1:9000/
    python waitress_app.py    # serves on $LISTEN, 127.0.0.1:8080

Try:    curl http://127.0.0.1:8080/fail
Expect: waitress' own 500, and in the inbox a ValueError of "GET /fail". The sender is a thread of this process, which
        starts with the first event.
"""

import os

import waitress
from wsgi_app import make_application

if __name__ == "__main__":
    dsn = os.environ.get("HEKA_RAVEN_DSN", "http://key@127.0.0.1:9000/1")
    waitress.serve(make_application(dsn=dsn), listen=os.environ.get("LISTEN", "127.0.0.1:8080"))
