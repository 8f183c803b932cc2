"""Streams: where records go. Each has ``write(data)``; ``flush()`` and ``max_record_size`` are optional."""

from heka.streams.dev import DebugCaptureStream, FileStream, StdOutStream
from heka.streams.logging import StdLibLoggingStream
from heka.streams.tcp import TcpStream
from heka.streams.udp import UdpStream

__all__ = ["DebugCaptureStream", "FileStream", "StdLibLoggingStream", "StdOutStream", "TcpStream", "UdpStream"]
