"""A Heka router between the application and the server: events leave as Heka messages of type `sentry`.

    heka-raven inbox
    heka-raven relay --listen udp://127.0.0.1:5565 --dsn 'http://127.0.0.1:9000/*'      # the router
    python heka_router.py

Try:    python heka_router.py
Expect: True twice, and the event in the inbox, http://127.0.0.1:9000/ . The counter is no event: the relay drops it,
        unless it is told to --forward it.
"""

import sys

from heka.holder import get_client

port = sys.argv[1] if len(sys.argv) > 1 else "5565"
client = get_client(
    "shop",
    {
        "logger": "shop",
        "stream_class": "heka.streams.UdpStream",
        "stream_host": "127.0.0.1",
        "stream_port": port,
        "plugins": {"raven": ("heka_raven.raven_plugin:config_plugin", {"dsn": "http://key@127.0.0.1:9000/1"})},
    },
)

try:
    int("twelve")
except ValueError:
    print(client.raven("reading the amount") is not None)
print(client.incr("orders"))
