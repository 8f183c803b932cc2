"""Keeps the clients of a process by name."""

from collections.abc import Mapping
from typing import Any

from heka.client import HekaClient
from heka.config import client_from_dict_config
from heka.exceptions import ConfigError
from heka.process import ProcessLocks


class HekaClientHolder:
    """Clients by name. The first one is the default."""

    def __init__(self) -> None:
        self._clients: dict[str, HekaClient] = {}
        self._default_clientname: str | None = None
        self._locks = ProcessLocks()

    def get_client(self, name: str | None) -> HekaClient | None:
        """The client called *name*, made once if there is none; it has no stream until it is configured."""
        if name is None:
            return None
        client = self._clients.get(name)
        if client is None:
            with self._locks.current():
                client = self._clients.get(name)
                if client is None:
                    client = HekaClient(stream=None, logger=name)
                    self._add(name, client)
        return client

    def find_client(self, name: str) -> HekaClient | None:
        """The client called *name*, if there is one; none is made."""
        return self._clients.get(name)

    def set_client(self, name: str, client: HekaClient) -> None:
        """Put in a client made elsewhere."""
        with self._locks.current():
            self._add(name, client)

    def _add(self, name: str, client: HekaClient) -> None:
        if not self._clients and not self._default_clientname:
            self._default_clientname = name
        self._clients[name] = client

    def set_default_client_name(self, name: str | None) -> None:
        """Say which client is the default."""
        self._default_clientname = name

    @property
    def default_client(self) -> HekaClient | None:
        """The default client, or None."""
        name = self._default_clientname
        return None if name is None else self._clients.get(name)

    def delete_client(self, name: str) -> None:
        """Forget the client called *name*."""
        with self._locks.current():
            self._clients.pop(name, None)
            if self._default_clientname == name:
                self._default_clientname = None


CLIENT_HOLDER = HekaClientHolder()


def get_client(
    name: str | None = None,
    config: Mapping[str, Any] | None = None,
    *,
    config_dict: Mapping[str, Any] | None = None,
) -> HekaClient:
    """The client called *name* of this process, configured with *config* if that is given.

    Args:
        name: also the default ``logger`` of the client; None: the default client.
        config: as for :func:`heka.config.client_from_dict_config`; it is not changed.
        config_dict: the name *config* has in heka-py.

    Raises:
        ConfigError: if *config* names another logger, or cannot be used; if there is no default client.
    """
    config = config_dict if config is None else config
    client = CLIENT_HOLDER.default_client if name is None else CLIENT_HOLDER.get_client(name)
    if client is None:
        raise ConfigError("there is no default client; get one by its name first")
    if config:
        if not isinstance(config, Mapping):
            raise ConfigError(f"configuration: a {type(config).__name__} is not allowed: a dict")
        logger = config.get("logger")
        if logger and name is not None and logger != name:
            raise ConfigError(
                f"logger: {logger!r} is not allowed: it must be {name!r}, as the name of the client, or left blank"
            )
        client_from_dict_config({**config, "logger": name or logger or client.logger}, client=client)
    return client
