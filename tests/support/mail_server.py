"""A mail server: real SMTP over a socket, which keeps what it gets and refuses what it is told to."""

import base64
import contextlib
import socketserver
import ssl
import threading
from email import message_from_bytes, policy

from support.paths import DATA


class MailServer:
    """SMTP on a free port of 127.0.0.1.

    Args:
        tls: a file of tests/data/tls: TLS from the first byte.
        starttls: the same, offered as STARTTLS.
        login: (user, password) that AUTH PLAIN must show.
        refuse: command to answer, as ``{"RCPT": "550 no such user"}``.
        host: another loopback address.
    """

    def __init__(self, tls=None, starttls=None, login=None, refuse=None, host="127.0.0.1"):
        self.mails = []  # (sender, recipients, message, was encrypted)
        self.lines = []
        self.refuse = refuse or {}
        self.login = login
        self.tls, self.starttls = _context(tls), _context(starttls)
        outer = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self):
                session = None
                with contextlib.suppress(OSError):
                    session = _Session(outer, self.request)
                    session.run()
                if session is not None:
                    session.close()

        self._server = socketserver.ThreadingTCPServer((host, 0), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *exc_info):
        self._server.shutdown()
        self._server.server_close()


def _context(name):
    if name is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(DATA / "tls" / name)
    return context


class _Session:
    def __init__(self, server, sock):
        self.server, self.encrypted = server, False
        self.sender, self.to = "", []
        self.use(server.tls.wrap_socket(sock, server_side=True) if server.tls else sock, bool(server.tls))

    def use(self, sock, encrypted):
        self.sock, self.encrypted, self.file = sock, encrypted, sock.makefile("rb")

    def close(self):
        self.file.close()
        self.sock.close()

    def say(self, *lines):
        self.sock.sendall("".join(f"{line}\r\n" for line in lines).encode())

    def run(self):
        self.say("220 test ESMTP")
        while line := self.file.readline():
            text = line.decode().rstrip("\r\n")
            self.server.lines.append(text)
            word = text.partition(" ")[0].upper()
            if word in self.server.refuse:
                self.say(self.server.refuse[word])
            elif word == "QUIT":
                self.say("221 bye")
                return
            else:
                getattr(self, f"on_{word.lower()}", self.unknown)(text)

    def unknown(self, text):
        self.say("502 what?")

    def on_ehlo(self, text):
        offered = ["STARTTLS"] if self.server.starttls and not self.encrypted else []
        offered += ["AUTH PLAIN"] if self.server.login else []
        names = ["test", *offered]
        self.say(*[f"250{' ' if n == len(names) - 1 else '-'}{name}" for n, name in enumerate(names)])

    def on_starttls(self, text):
        self.say("220 go on")
        self.use(self.server.starttls.wrap_socket(self.sock, server_side=True), True)

    def on_auth(self, text):
        shown = base64.b64decode(text.split(" ")[2]).decode().split("\0")[1:]
        self.say("235 in" if tuple(shown) == self.server.login else "535 no")

    def on_mail(self, text):
        self.sender, self.to = text.partition("<")[2].partition(">")[0], []
        self.say("250 ok")

    def on_rcpt(self, text):
        self.to.append(text.partition("<")[2].partition(">")[0])
        self.say("250 ok")

    def on_data(self, text):
        self.say("354 go on")
        body = b""
        while (line := self.file.readline()) not in (b".\r\n", b""):
            body += line.removeprefix(b".")
        mail = message_from_bytes(body, policy=policy.default)
        self.server.mails.append((self.sender, self.to, mail, self.encrypted))
        self.say("250 kept")
