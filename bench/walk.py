"""Through which files of the project an exception goes, from RavenMiddleware to the rename in the spool.

    python bench/walk.py

The second error of a process is traced with ``sys.setprofile``: the first also imports, opens the spool and reads
source files. Two numbers: the files that stand one in the other when the rename is called, which is the way itself, and
all that are entered on it, with the pure rooms that are asked for what an event shows.
"""

import logging
import os
import shutil
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ENVIRON = {
    "REQUEST_METHOD": "GET", "SCRIPT_NAME": "", "PATH_INFO": "/orders/42", "QUERY_STRING": "page=2",
    "SERVER_NAME": "shop.example.org", "SERVER_PORT": "443", "SERVER_PROTOCOL": "HTTP/1.1", "wsgi.url_scheme": "https",
    "HTTP_HOST": "shop.example.org", "HTTP_COOKIE": "session=abc", "REMOTE_ADDR": "192.0.2.1",
}  # fmt: skip


def application(environ, start_response):
    basket = {"items": 3, "password": "not this"}
    raise ValueError(f"no such order in {len(basket)}")


def project_file(name):
    """*name* as the project calls it; None for a file of somebody else, and for this one."""
    if name.startswith("<"):
        return None
    path = Path(name).resolve()
    if not path.is_relative_to(ROOT) or ".venv" in path.parts or path == Path(__file__).resolve():
        return None
    return str(path.relative_to(ROOT))


def walk():
    """The files on the stack at the rename, outermost first, and ``{file: functions entered}`` of the whole walk."""
    spool = tempfile.mkdtemp()
    os.environ["HEKA_RAVEN_SPOOL"] = spool
    logging.disable()
    from heka_raven.middleware import RavenMiddleware

    wrapped = RavenMiddleware(application, dsn="http://key@127.0.0.1:9/1", stream_sender="off")
    entered, stack = {}, []

    def trace(frame, event, argument):
        if event == "c_call" and argument is os.rename and not stack:
            while frame is not None:
                if (name := project_file(frame.f_code.co_filename)) is not None and name not in stack:
                    stack.insert(0, name)
                frame = frame.f_back
        elif event == "call" and not stack and (name := project_file(frame.f_code.co_filename)) is not None:
            entered.setdefault(name, {}).setdefault(frame.f_code.co_qualname, None)

    try:
        for traced in (False, True):
            sys.setprofile(trace if traced else None)
            try:
                wrapped(dict(ENVIRON), lambda *given: None)
            except ValueError:
                pass
            finally:
                sys.setprofile(None)
        written = len(os.listdir(f"{spool}/new"))
    finally:
        shutil.rmtree(spool)
    if written != 2 or not stack:
        raise SystemExit(f"{written} events in the spool, not 2; the rename was {'' if stack else 'not '}seen")
    return stack, {name: list(functions) for name, functions in entered.items()}


def main():
    stack, entered = walk()
    print(f"{len(stack)} files from RavenMiddleware to the rename:")
    for name in stack:
        print(f"     {name}")
    print(f"{len(entered)} files entered in all, of {len({str(Path(name).parent) for name in entered})} folders:")
    for name, functions in entered.items():
        print(f"     {name:<42}{len(functions):>4} functions, from {functions[0]}")


if __name__ == "__main__":
    main()
