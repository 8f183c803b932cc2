"""The application of paste.ini."""


def make_app(global_conf, **local_conf):
    """paste.app_factory."""
    return app


def app(environ, start_response):
    if environ["PATH_INFO"] == "/fail":
        raise ValueError("the basket is empty")
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"all is well\n"]
