"""Takes the events that clients of protocol 2 and 3 send by UDP."""

import logging
import socket
import threading

from heka.limited_log import SparseLog
from heka_raven.inbox.intake.intake import Intake, Refusal

log = logging.getLogger("heka_raven.inbox")

MAX_PACKET = 65_535  # bytes; no datagram is larger


class UdpListener:
    """A thread that stores each packet of a bound socket; ``stop()`` ends it."""

    def __init__(self, intake: Intake, listener: socket.socket) -> None:
        self._intake = intake
        self._socket = listener
        self._stopping = threading.Event()
        self._log = SparseLog(log)  # a client that sends rubbish must not fill the log
        self._thread = threading.Thread(target=self._run, name="inbox-udp", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join(timeout=5)
        self._socket.close()

    def _run(self) -> None:
        self._socket.settimeout(0.2)
        while not self._stopping.is_set():
            try:
                packet, peer = self._socket.recvfrom(MAX_PACKET)
            except TimeoutError:
                continue
            except OSError:
                # An ICMP error for something sent before; the socket goes on.
                continue
            self._take(packet, str(peer[0]))

    def _take(self, packet: bytes, host: str) -> None:
        try:
            self._intake.take_packet(packet)
        except Refusal as refusal:
            self._intake.note_refused(f"UDP from {host}", "udp", refusal)
        except Exception:
            self._log.tell("lost", logging.ERROR, "UDP packet lost", exc_info=True)
