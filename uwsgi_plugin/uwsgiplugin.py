# What `uwsgi --build-plugin uwsgi_plugin` needs to know. Read by uWSGI's own builder, with exec and without __file__.

import os

NAME = "sentry"

# -fvisibility: only the plugin's struct is seen by uWSGI, which loads plugins with RTLD_GLOBAL.
CFLAGS = ["-std=gnu11", "-D_GNU_SOURCE", "-fvisibility=hidden", "-Wshadow", "-Werror=implicit-function-declaration"]
# Two builds of one version can differ in their flags, and so in their structs: the plugin knows those it was built for.
# FNV-1a, as in glue/plugin.c. Not there when uWSGI is built with the plugin inside.
FLAGS = os.environ.get("UWSGI_PLUGINS_BUILDER_CFLAGS")
if FLAGS is not None:
    FLAGS_HASH = 0xCBF29CE484222325
    for byte in FLAGS.encode():
        FLAGS_HASH = ((FLAGS_HASH ^ byte) * 0x100000001B3) % 2**64
    CFLAGS.append(f"-DHK_UWSGI_FLAGS=0x{FLAGS_HASH:016x}ULL")
LDFLAGS = []
LIBS = ["-lcurl"]

# fmt: off
ROOMS = {  # each may call those above it only
    "core": [
        "buf", "dsn", "duration", "elf", "envelope", "event", "frames", "growth", "inflight", "json", "jsonread",
        "legacy", "masking", "native", "note", "options", "ownlines", "packet", "pathname", "policy", "pool", "pystack",
        "request", "ring", "roots", "scrub", "scrub_kept", "scrub_messages", "scrub_names", "scrub_shapes",
        "scrub_source", "scrub_text", "scrub_values", "sentence", "template", "trace", "values", "waiting", "watch",
        "wire",
    ],
    "edge": [
        "capture", "guard", "kernel", "ledger", "ledgers", "mounts", "source", "spares", "spool", "statefile",
        "symbols", "sys", "thread",
    ],
    "sender": [
        "datagram", "housekeeping", "http", "http_request", "names", "queue", "reply", "sender", "servers", "targets",
    ],
    "server": ["handler", "server_spool", "settings"],
    "watch": [
        "alarm", "answer", "crash", "deaths", "doing", "eyes", "grown", "helpers", "interpreters", "live", "master",
        "programs", "reader", "report", "running", "shared", "snapshot", "stack", "storm", "top", "unwind", "worker",
    ],
    "glue": ["clamp", "entry", "gateway", "metrics", "pipes", "plugin", "reported", "start"],
}
# fmt: on

GCC_LIST = []
for ROOM in ROOMS:
    GCC_LIST += [ROOM + "/" + f for f in ROOMS[ROOM]]
