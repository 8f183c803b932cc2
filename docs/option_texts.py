"""What the configuration reference says of each option beside what the code says itself. See docs/generate.py."""

# Each: (type and what is allowed, unit, meaning). The default comes from the code.
PLUGIN = {
    "dsn": ("DSN", "", "where to report to; without one nothing is, and one warning says so"),
    "logger": ("text", "", "the event's and the message's logger; default: the client's"),
    "severity": ("0 to 7", "syslog", "of the heka message; the event's level follows it"),
    "protocol": ("7, 3", "", "3: the event that Sentry 5.1 to 5.4 understands"),
    "payload": ("json, raven", "", "raven: zlib and base64; default: raven to a router, json to the spool"),
    "release": ("text, no white space or slashes", "200 characters", "of every event"),
    "environment": ("text, no white space or slashes", "64 characters", "of every event"),
    "server_name": ("text", "", "default: the host's name"),
    "tags": ("name:value pairs, or a dict", "", "of every event"),
    "ignore": ("classes or their names", "", "exceptions that are not reported, with their subclasses"),
    "scrub_keys": ("names", "", "more names whose values are removed"),
    "scrub_allow": ("names", "", "names whose values stay although a rule would remove them"),
    "send_pii": ("boolean", "", "send who the visitor is: address headers, REMOTE_USER, the user's e-mail"),
    "send_secret": ("boolean", "", "leave the DSN's secret in the heka message"),
    "sample_rate": ("0 to 1", "share", "of the events that are kept"),
    "before_send": (
        "function or its name",
        "",
        "gets (event, hint) after scrubbing; returns the event, or None to drop it",
    ),
    "locals": ("values, repr, off", "", "how variables are shown; repr calls ``__repr__`` of your classes"),
    "max_per_fingerprint": ("N/SECONDS, as 100/60s", "per process", "events of one fingerprint; the rest is counted"),
    "in_app_include": (
        "names of packages and modules; folders",
        "",
        "whose frames are ``in_app``, beside the application's",
    ),
    "in_app_exclude": ("names of packages and modules; folders", "", "whose frames are not; the longer entry decides"),
}
MIDDLEWARE = {
    "body": ("0 to 1048576", "bytes", "keep so much of what the application read of its request's body"),
    "trusted_proxies": ("0 to 32", "proxies", "in front of the server that are yours"),
    "ignore": ("classes or their names", "", "exceptions that are not reported, with their subclasses"),
    "system_exit": ("boolean", "", "report SystemExit with a status that is not 0"),
    "keyboard_interrupt": ("boolean", "", "report KeyboardInterrupt"),
    "report_thrown": ("boolean", "", "report also when environ['paste.throw_errors'] is set"),
    "catchall": ("boolean", "", "answer 500 with the event id"),
    "error_page": ("WSGI application or its name", "", "in place of the built-in page; with catchall"),
}
SPOOL = {
    "path": ("directory", "", "of the spool; default: see Environment below"),
    "sender": ("auto, thread, off", "", "auto: a thread, unless uWSGI runs with the plugin; off: others deliver"),
    "durability": ("process, power", "", "power: fsync each event"),
    "max_bytes": ("size; K, M, G", "bytes", "cap of the spool; over it new events are counted and dropped"),
    "max_count": ("number", "events", "likewise"),
    "connections": ("1 to 256", "connections", "at once, over all servers"),
    "connect_timeout_s": ("0.01 to 300", "seconds", "for a connection"),
    "timeout_s": ("0.01 to 300", "seconds", "for a whole request"),
    "max_age_s": ("0 to 31622400", "seconds", "an event that failed and is older is given up"),
    "rate_limit": ("hold, discard", "", "what a server's request for quiet does to events"),
    "compress": ("none, gzip", "", "of envelopes"),
    "proxy": ("URL", "", "default: $http_proxy, $https_proxy, $no_proxy"),
    "ca_file": ("file", "", "certificates to trust in place of the system's"),
    "client_reports": ("boolean", "", "tell the server what was discarded"),
    "exit_wait_s": ("0 to 60", "seconds", "that a process which ends waits for what is in flight"),
}
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
    "sentry-watch": ("true, false, or a list of events", "false", ""),
    "sentry-watch-options": ("options of a handler", "", ""),
    "sentry-watch-slow": ("number", "off", "seconds"),
    "sentry-watch-backlog": ("1 to 100", "100", "percent"),
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
    "HEKA_RAVEN_DSN": "the DSN of ``heka-raven test`` without one",
    "SENTRY_DSN": "the same, looked at first",
    "HEKA_RAVEN_INBOX_TOKEN": "``heka-raven inbox --token``, which other users could read in the list of processes",
}
