"""The plugin that the original's documentation configures as its example."""

from collections.abc import Callable
from typing import Any


def config_plugin(config: dict[str, Any]) -> Callable[..., Any]:
    """A method ``dummy`` that returns its configuration when both the plugin and the call are ``verbose``."""
    options = dict(config)
    verbose_by_default = options.pop("verbose", False)

    def dummy(self: Any, *args: Any, **kwargs: Any) -> dict[str, Any] | None:
        return dict(options) if verbose_by_default and kwargs.get("verbose") else None

    dummy.heka_name = "dummy"  # type: ignore[attr-defined]
    return dummy
