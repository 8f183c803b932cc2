"""An old Sentry (5.1 to 5.4) over UDP: protocol 3, one datagram an event, nobody answers.

    heka-raven inbox --udp 127.0.0.1:9001       # takes such datagrams; in its place: your Sentry 5
    python legacy_udp.py

Try:    python legacy_udp.py udp://public:secret@127.0.0.1:9001/1
Expect: its event id, and the same event in the inbox, http://127.0.0.1:9000/ .
An event over 65,507 bytes does not fit into a datagram, and whether one arrived is not known: where the server takes
HTTP (the same DSN with http://), that is better.
"""

import sys

from heka.holder import get_client

dsn = sys.argv[1] if len(sys.argv) > 1 else "udp://public:secret@127.0.0.1:9001/1"
client = get_client(
    "legacy",
    {
        "stream_class": "heka_raven.streams.SpoolStream",
        "plugins": {"raven": ("heka_raven.raven_plugin:config_plugin", {"dsn": dsn, "protocol": 3})},
    },
)

try:
    {"apples": 3}["pears"]
except KeyError:
    print(client.raven("counting fruit"))
# At exit the sender's thread is waited for, two seconds at most (stream_exit_wait_s); what is left stays in the spool.
