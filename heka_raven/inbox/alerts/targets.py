"""The values of --notify: what each means, and sending one message there.

A target's name is what pages and logs show of it: never a path, a password or an argument, which may be secret.
"""

import os
import shlex
import shutil
import signal
import smtplib
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.utils import formatdate, make_msgid
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

import orjson
from urllib3.util import make_headers

from heka_raven import __version__
from heka_raven.formats.text import printable
from heka_raven.inbox.alerts.message import Message, as_json
from heka_raven.sender.http import HttpTransport

TIMEOUT_S = 10.0  # of a webhook as a whole, and of each step with a mail server
ENFORCED_EACH_S = 0.5
COMMAND_S = 30.0
MAX_TARGETS = 10
MAX_ERROR = 200  # characters
PASSING = (408, 425, 429)  # statuses below 500 that may be others next time


class TargetError(ValueError):
    """The text is no target; the message quotes no secret."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one try went: no error is success. *final*: it would fail again."""

    error: str = ""
    final: bool = False
    retry_after_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Target:
    """Where alerts go."""

    name: str
    send: Callable[[Message], Outcome] = field(compare=False)


def parse_targets(texts: list[str]) -> list[Target]:
    """The targets of all ``--notify``; equal names get a number.

    Raises:
        TargetError: for the first that is none.
    """
    if len(texts) > MAX_TARGETS:
        raise TargetError(f"{len(texts)} of them; at most {MAX_TARGETS}")
    found: list[Target] = []
    for text in texts:
        target = _parse(text.strip())
        same = sum(other.name.partition(" (")[0] == target.name for other in found)
        found.append(Target(f"{target.name} ({same + 1})", target.send) if same else target)
    return found


def _parse(text: str) -> Target:
    scheme = text.partition(":")[0].lower()
    if scheme in ("http", "https"):
        return _webhook(_split(text))
    if scheme in ("smtp", "smtps"):
        return _mail(_split(text))
    if scheme == "mailto":
        return _mail(urlsplit(f"smtp://localhost/{text.partition(':')[2]}"))
    if "://" in text:
        raise TargetError("a target begins with http://, https://, smtp://, smtps:// or mailto:, or is a command")
    return _command(text)


def _split(text: str) -> SplitResult:
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise TargetError("the URL has no valid host or port") from None
    if not parts.hostname or port == 0 or not text.isascii() or not text.isprintable() or " " in text:
        raise TargetError("the URL has no host, or characters that no URL has")
    return parts


def _webhook(parts: SplitResult) -> Target:
    host = parts.netloc.rpartition("@")[2]
    url = parts._replace(netloc=host, fragment="").geturl()
    headers = {"Content-Type": "application/json", "User-Agent": f"heka-raven/{__version__}"}
    if parts.username is not None:
        login = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        headers.update({k.title(): v for k, v in make_headers(basic_auth=login).items()})

    def send(message: Message) -> Outcome:
        transport = HttpTransport(connections=1, connect_timeout_s=TIMEOUT_S / 2)
        done = threading.Event()
        threading.Thread(target=_enforce, args=(transport, done), daemon=True).start()
        try:
            reply = transport.send(url, headers, orjson.dumps(as_json(message)), timeout_s=TIMEOUT_S)
        finally:
            done.set()
            transport.close()
        if reply.status is None:
            return Outcome(_hide(reply.error, [url, parts.path, parts.query, parts.password or ""]))
        if 200 <= reply.status < 300:
            return Outcome()
        after = reply.headers.get("retry-after", "")
        retry_after_s = min(float(after), 3_600.0) if after.isascii() and after.isdigit() else 0.0
        moved = "; redirects are not followed" if 300 <= reply.status < 400 else ""
        final = reply.status < 500 and reply.status not in PASSING
        return Outcome(f"it answered with status {reply.status}{moved}", final, retry_after_s)

    return Target(f"{parts.scheme}://{host}{'/…' if parts.path not in ('', '/') or parts.query else ''}", send)


def _enforce(transport: HttpTransport, done: threading.Event) -> None:
    """Until *done*: a server that sends a byte now and then never times out by itself."""
    while not done.wait(ENFORCED_EACH_S):
        transport.enforce_deadlines()


@dataclass(frozen=True, slots=True)
class _MailServer:
    host: str
    port: int
    tls: bool
    user: str
    password: str

    @property
    def is_local(self) -> bool:
        return self.host in ("localhost", "127.0.0.1", "::1")

    def connect(self) -> smtplib.SMTP:
        """Connected, with TLS whose certificate was verified, and logged in.

        Without TLS it goes to this machine only, or where the server offers none and no password is sent.
        """
        context = ssl.create_default_context()
        smtp: smtplib.SMTP
        if self.tls:
            smtp = smtplib.SMTP_SSL(self.host, self.port, timeout=TIMEOUT_S, context=context)
        else:
            smtp = smtplib.SMTP(self.host, self.port, timeout=TIMEOUT_S)
        try:
            smtp.ehlo()
            if not self.tls and not self.is_local and smtp.has_extn("starttls"):
                smtp.starttls(context=context)
                smtp.ehlo()
            elif not self.tls and not self.is_local and self.user:
                raise smtplib.SMTPNotSupportedError("it offers no TLS, and the password is not sent without")
            if self.user:
                smtp.login(self.user, self.password)
        except BaseException:
            smtp.close()
            raise
        return smtp


def _mail(parts: SplitResult) -> Target:
    to = [unquote(address).strip() for address in parts.path.removeprefix("/").split(",")]
    options = parse_qs(parts.query, keep_blank_values=True)
    sender = options.pop("from", [f"heka-raven@{socket.gethostname()}"])[0]
    for address in [*to, sender]:
        name, at, domain = address.rpartition("@")
        if not (name and at and domain) or not address.isprintable() or any(c in address for c in ' ,;<>"\\'):
            raise TargetError("want addresses after the host: smtp://mail.example.com/ops@example.com,dev@example.com")
    if options:
        raise TargetError("a mail's URL has one parameter: ?from=ADDRESS")
    tls = parts.scheme.lower() == "smtps"
    password = unquote(parts.password or "")
    server = _MailServer(
        parts.hostname or "localhost",
        parts.port or (465 if tls else 587 if parts.username else 25),
        tls,
        unquote(parts.username or ""),
        password,
    )

    def send(message: Message) -> Outcome:
        mail = EmailMessage()
        mail["Subject"] = " ".join(message.subject.split())
        mail["From"], mail["To"] = sender, ", ".join(to)
        mail["Date"], mail["Message-ID"] = formatdate(localtime=True), make_msgid(domain="heka-raven.invalid")
        mail["Auto-Submitted"] = "auto-generated"  # nobody's answering machine is to answer
        mail.set_content(message.body)
        try:
            smtp = server.connect()
            try:
                refused = smtp.send_message(mail, sender, to)
            finally:
                smtp.close()
        except (OSError, smtplib.SMTPException) as error:
            said, final = _mail_error(error)
            return Outcome(_hide(said, [password]), final)
        return Outcome(f"{len(refused)} of {len(to)} addresses were refused", True) if refused else Outcome()

    return Target(f"mail to {', '.join(to)}" + ("" if server.is_local else f" by {server.host}"), send)


def _mail_error(error: Exception) -> tuple[str, bool]:
    """What to show, and whether it would be the same again."""
    if isinstance(error, smtplib.SMTPNotSupportedError):
        return str(error), True
    if isinstance(error, smtplib.SMTPAuthenticationError):
        return "the mail server refused the login", True
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        codes = {code for code, _ in error.recipients.values()}
        return f"the mail server refused every address ({min(codes)})", min(codes) >= 500
    if isinstance(error, smtplib.SMTPResponseException):
        said = error.smtp_error.decode("utf-8", "replace") if isinstance(error.smtp_error, bytes) else error.smtp_error
        return f"the mail server said {error.smtp_code}: {printable(said)}", 500 <= error.smtp_code < 600
    if isinstance(error, socket.gaierror):
        return "the mail server's name cannot be resolved", False
    if isinstance(error, ssl.SSLError):
        return f"TLS with the mail server failed ({error.reason or 'no reason'})", False
    if isinstance(error, TimeoutError):
        return "the mail server did not answer in time", False
    reason = getattr(error, "strerror", None) or "the connection ended"
    return f"no connection to the mail server ({reason})", False


def _command(text: str) -> Target:
    try:
        argv = shlex.split(text)
    except ValueError:
        raise TargetError("the command has a quote that does not end") from None
    found = shutil.which(argv[0]) if argv else None
    if found is None:
        raise TargetError("no such command, or it may not be run" if argv else "it is empty")
    command = [found, *argv[1:]]

    def send(message: Message) -> Outcome:
        environment = {k: v for k, v in os.environ.items() if k != "HEKA_RAVEN_INBOX_TOKEN"}
        try:
            process = subprocess.Popen(  # noqa: S603 - the operator's own command, without a shell
                command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, env=environment, start_new_session=True
            )
        except OSError as error:
            return Outcome(f"it cannot be run: {error.strerror}")
        with process:
            try:
                process.communicate(orjson.dumps(as_json(message)) + b"\n", timeout=COMMAND_S)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                return Outcome(f"it did not end within {COMMAND_S:.0f} s")
        code = process.returncode
        if code < 0:
            return Outcome(f"it was killed by signal {-code}")
        return Outcome(f"it ended with status {code}") if code else Outcome()

    return Target(f"command {os.path.basename(argv[0])}{' …' if argv[1:] else ''}", send)


def _hide(text: str, secrets: list[str]) -> str:
    for secret in secrets:
        if len(secret) > 1:
            text = text.replace(secret, "…")
    return " ".join(printable(text).split())[:MAX_ERROR]
