# paste.py: the PasteDeploy entry point.
"""``use = egg:heka-raven`` in a PasteDeploy ini."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from heka.exceptions import ConfigError
from heka_raven.middleware.wsgi import Application, RavenMiddleware


def filter_app_factory(
    app: Application, global_conf: dict[str, Any], dsn: str | None = None, heka_config: str | None = None,
    heka_section: str = "heka",
) -> RavenMiddleware:
    """Wrap *app*, as a section of a PasteDeploy ini says (``paste.filter_app_factory``)."""
    if heka_config is None:
        return RavenMiddleware(app, dsn=dsn)
    if dsn is not None:
        raise ConfigError("give either dsn or heka_config")
    from heka.config import client_from_stream_config

    from_stream: Callable[..., Any] = client_from_stream_config
    with open(heka_config, encoding="utf-8") as stream:
        return RavenMiddleware(app, from_stream(stream, heka_section))
