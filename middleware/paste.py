"""The PasteDeploy entry point.

[filter:raven] use = egg:heka-raven dsn = https://KEY@sentry.example.com/1
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from heka.exceptions import ConfigError
from heka_raven.middleware.wsgi import Application, RavenMiddleware


def filter_app_factory(app: Application, global_conf: Mapping[str, str], **options: Any) -> RavenMiddleware:
    """Wrap *app* as a section of a PasteDeploy ini says (``paste.filter_app_factory``).

    Args:
        app: the application.
        global_conf: ``[DEFAULT]``. Only ``here`` is used, from which a relative ``heka_config`` starts, and ``dsn``
            where the section has none: PasteDeploy leaves out a key whose value is the same as in ``[DEFAULT]``.
        options: the keys of the section: those of :class:`RavenMiddleware`; or ``heka_config``, an ini file that
            describes a heka client, and ``heka_section``, the name of its section in there.

    Raises:
        ConfigError: naming the key that is wrong.
    """
    heka_config = options.pop("heka_config", None)
    heka_section = options.pop("heka_section", None)
    if heka_config is None:
        if heka_section is not None:
            raise ConfigError("heka_section: there is no heka_config, the file that has this section")
        options.setdefault("dsn", (global_conf or {}).get("dsn"))
        return RavenMiddleware(app, **options)
    if "dsn" in options:
        raise ConfigError("dsn: not together with heka_config: the file has its own")
    from heka.config import client_from_stream_config

    path = os.path.join((global_conf or {}).get("here", ""), heka_config)
    try:
        with open(path, encoding="utf-8") as stream:
            client = client_from_stream_config(stream, heka_section or "heka")
    except OSError as error:
        raise ConfigError(f"heka_config: {path}: {error.strerror}") from None
    return RavenMiddleware(app, client, **options)
