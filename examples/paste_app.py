"""The application of paste.ini and paste_heka.ini; `python paste_app.py paste.ini` serves it as the ini says."""

import os
import sys


def make_app(global_conf, **local_conf):
    """paste.app_factory."""
    return app


def app(environ, start_response):
    if environ["PATH_INFO"] == "/fail":
        if environ["REQUEST_METHOD"] == "POST":
            environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
        raise ValueError("the basket is empty")
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"all is well\n"]


if __name__ == "__main__":
    from paste.deploy import loadapp, loadserver

    uri = "config:" + os.path.abspath(sys.argv[1])
    loadserver(uri)(loadapp(uri))
