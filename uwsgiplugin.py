# For `uwsgi --build-plugin GIT-URL`: uWSGI clones the project and runs this file; the plugin is in uwsgi_plugin/.
# uWSGI gives no __file__: the clone has the URL's last part as its name, in the directory where the build runs.

import os
import sys


def _find():
    for argument in reversed(sys.argv):
        here = argument.rstrip("/").split("/")[-1] if "://" in argument else argument
        if os.path.exists(os.path.join(here, "uwsgi_plugin", "uwsgiplugin.py")):
            return os.path.join(here, "uwsgi_plugin", "uwsgiplugin.py")
    raise SystemExit("uwsgiplugin.py: cannot find uwsgi_plugin/ beside it")


_plugin = {}
with open(_find()) as _file:
    exec(_file.read(), _plugin)  # noqa: S102 - as uWSGI itself runs such files

NAME = _plugin["NAME"]
CFLAGS = _plugin["CFLAGS"]
LDFLAGS = _plugin["LDFLAGS"]
LIBS = _plugin["LIBS"]
GCC_LIST = ["uwsgi_plugin/" + name for name in _plugin["GCC_LIST"]]
