"""What the configuration reference says where no table of options says it: see heka/convert.py and docs/generate.py."""

HEKA = [
    ("logger", "text", "(empty)", "", "of every message"),
    ("severity", "0 to 7", "6", "syslog", "of messages that say none"),
    ("disabled_timers", "names; * is all", "(none)", "", "timers that do nothing"),
    ("encoder", "dotted name", "heka.encoders.ProtobufEncoder", "", "of the records"),
    ("stream_class", "dotted name", "(required)", "", "heka_raven.streams.SpoolStream, or one of heka.streams"),
    ("stream_*", "see the streams", "", "", "arguments of that class"),
    ("[NAME_filter_*]", "section", "", "", "provider, and what it takes: see :doc:`heka`"),
    ("[NAME_plugin_*]", "section", "", "", "provider, override, and the plugin's options"),
    ("[NAME_hmac]", "section", "", "", "signer, key_version, hash_function (MD5, SHA1), key"),
]
STREAMS = ["UdpStream", "TcpStream", "FileStream", "StdLibLoggingStream", "StdOutStream", "DebugCaptureStream"]
# Of the plugin's handlers: (type, default, meaning). "*" marks those that take request variables in a route.
HANDLER = {
    "dsn": ("DSN", "sentry-dsn", "where to report to; never takes a request variable"),
    "level": ("fatal, error, warning, info, debug *", "error", "of the event"),
    "logger": ("text *", "uwsgi.sentry", "of the event"),
    "message": ("text *", "the alarm's own", "of the event"),
    "platform": ("text *", "python or other", "python where there is a stack of Python files"),
    "culprit": ("text *", "", "what Sentry shows as the place"),
    "server_name": ("text *", "the host's name", "of the event"),
    "release": ("text *", "sentry-release", "of the event"),
    "exception_type": ("text *", "", "makes the event an exception of this class"),
    "exception_value": ("text *", "", "and with this value"),
    "no_verify": ("flag", "0", "accept any TLS certificate"),
    "debug": ("flag", "0", "log each delivery of such events"),
    "tags": ("name:value;name:value *", "", "``\\;`` and ``\\:`` are literal"),
    "extra": ("name:value;name:value *", "", "likewise"),
    "timeout": ("1 to 300, seconds", "the sender's", "for a request"),
    "environment": ("text *", "sentry-environment", "of the event"),
    "fingerprint": ("item;item *", "", "groups events"),
    "protocol": ("7, 3", "7", "3: for Sentry 5.1 to 5.4"),
    "api": ("envelope, store", "envelope", "store: for Sentry 9 and before"),
}
# Of the whole server: (type and what is allowed, default, unit). The meaning comes from the table in C.
SERVER = {
    "sentry-dsn": ("DSN", "", ""),
    "sentry-spool": ("directory", "see Environment", ""),
    "sentry-spool-size": ("number from 1048576, without a unit", "268435456", "bytes"),
    "sentry-release": ("text", "", ""),
    "sentry-environment": ("text", "", ""),
    "sentry-send-pii": ("flag", "false", ""),
    "sentry-watch": ("true, false, or a list of events", "false", ""),
    "sentry-watch-options": ("options of a handler", "", ""),
    "sentry-watch-slow": ("time: 10, 0.5, 500ms, 1m", "off", "seconds"),
    "sentry-watch-backlog": ("1 to 100", "100", "percent"),
    "sentry-watch-patience": ("1 to 60000", "90 and 25", "milliseconds"),
    "sentry-watch-values": ("flag", "false", ""),
    "sentry-watch-python": ("path of a program", "found", ""),
    "sentry-watch-crash-wait": ("time up to 10s, or 0", "500ms", "seconds"),
    "sentry-watch-storm": ("number", "5", "deaths"),
    "sentry-watch-storm-seconds": ("number", "60", "seconds"),
    "sentry-no-sender": ("flag", "false", ""),
    "sentry-ca": ("file", "the system's", ""),
    "sentry-proxy": ("URL", "$http_proxy, $https_proxy", ""),
}
# What a placeholder of the command's help stands for: (value, unit); and the units of the numbers "N".
PLACEHOLDERS = {
    "S": ("number", "seconds"),
    "BYTES": ("number", "bytes"),
    "SIZE": ("number; K, M, G", "bytes"),
    "N": ("number", ""),
    "DIR": ("directory", ""),
    "FILE": ("file", ""),
}
COUNTED = {
    "--connections": "connections",
    "--lines": "lines",
    "--max-connections": "connections",
    "--max-count": "events",
    "--prefetch": "messages",
    "--rate-limit": "requests a second",
}
ENVIRONMENT = {
    "HEKA_RAVEN_SPOOL": "the spool, where no setting names one; the uWSGI plugin sets it for its workers. Without it "
    "``/var/spool/heka-raven/UID`` where that can be made, else ``/tmp/heka-raven-UID``",
    "HEKA_RAVEN_SPOOL_UID": "set by the plugin beside the former: for whom it resolved the path. Not for you to set",
    "HEKA_RAVEN_SENDER": "``auto``, ``thread`` or ``off``, where ``stream_sender`` says ``auto``",
    "HEKA_RAVEN_CA": "``stream_ca_file`` where that is not set; the uWSGI plugin sets it to its ``sentry-ca``",
    "HEKA_RAVEN_PROXY": "``stream_proxy`` likewise, to its ``sentry-proxy``",
    "HEKA_RAVEN_DSN": "the DSN of ``heka-raven test``, ``heka-raven run`` and ``heka_raven.init()`` without one",
    "SENTRY_DSN": "the same, looked at first; also of ``RavenClient()`` without a dsn and a heka client",
    "HEKA_RAVEN_RUN": "set by ``heka-raven run``, whose command notes there what it reported. Not for you to set",
    "HEKA_RAVEN_INBOX_TOKEN": "``heka-raven inbox --token``, which other users could read in the list of processes",
}
