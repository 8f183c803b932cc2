# What `uwsgi --build-plugin uwsgi_plugin` needs to know. Read by uWSGI's own builder, with exec and without __file__.

NAME = "sentry"

# -fvisibility: only the plugin's struct is seen by uWSGI, which loads plugins with RTLD_GLOBAL.
CFLAGS = ["-std=gnu11", "-D_GNU_SOURCE", "-fvisibility=hidden", "-Wshadow", "-Werror=implicit-function-declaration"]
LDFLAGS = []
LIBS = ["-lcurl"]

CORE = [
    "buffer", "dsn", "envelope", "event", "json", "jsonread", "legacy", "options", "packet", "policy", "pool",
    "request", "ring", "template", "watch", "wire",
]  # fmt: skip
EDGE = [
    "capture", "http", "ledger", "ledger_fold", "queue", "sender", "sender_house", "sender_reply", "spool", "sys",
    "targets",
]  # fmt: skip
GLUE = ["clamp", "entry", "gateway", "metrics", "plugin", "reported", "snapshot", "spoolglue", "watch"]

GCC_LIST = ["core/" + f for f in CORE] + ["edge/" + f for f in EDGE] + ["glue/" + f for f in GLUE]
