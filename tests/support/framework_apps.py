"""All applications of frameworks."""

from support import apps_django, apps_flask, apps_frameworks
from support.framework_table import FAILING, FINE

__all__ = ["FAILING", "FINE", "apps_django", "apps_flask", "apps_frameworks"]
