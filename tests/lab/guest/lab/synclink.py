"""When each session crossed the sync link: a capture in front of a daemon, read back session by session."""

import signal
import socket
import struct
import subprocess

from .daemon import GROUP_PORT
from .genl import SESSION_BYTES
from .network import SYNC6
from .system import inside, wait_for

CAPTURE = "/tmp/synclink.pcap"
LOG = "/tmp/synclink.log"

FILE_HEADER, RECORD_HEADER = 24, struct.Struct("=IIII")
# Ethernet, IPv6, UDP.
HEADERS = 14 + 40 + 8
DESTINATION4 = slice(24, 28)
# docs/extensions.md
HEADER_BYTES, TRAILER = 12, 1


class SyncLink:
    """Captures J's datagrams while it is entered. A full buffer would hide some, so it is large."""

    def __init__(self, namespace="k"):
        self._namespace = namespace

    def __enter__(self):
        with inside(self._namespace), open(LOG, "w") as log:
            self._tcpdump = subprocess.Popen(
                ["tcpdump", "-n", "-i", "sync", "-B", "65536", "-w", CAPTURE,
                 f"udp dst port {GROUP_PORT} and src host {SYNC6['j']}"], stderr=log)
        wait_for("tcpdump to listen", self._log, lambda seen: "listening on" in seen)
        return self

    def __exit__(self, *_):
        self._tcpdump.send_signal(signal.SIGINT)
        self._tcpdump.wait(60)
        if "\n0 packets dropped by kernel" not in self._log():
            raise RuntimeError(f"tcpdump did not see everything: {self._log()}")

    @staticmethod
    def _log():
        with open(LOG) as file:
            return file.read()

    @staticmethod
    def crossings():
        """(IPv4 destination, the moment in seconds) of each session that crossed the link, in their order."""
        for moment, datagram in _records():
            start = 0
            while start + HEADER_BYTES <= len(datagram):
                length, kind = struct.unpack_from("=HB", datagram, start)
                if length == SESSION_BYTES:
                    yield socket.inet_ntoa(datagram[start:start + SESSION_BYTES][DESTINATION4]), moment
                    start += SESSION_BYTES
                elif (length, kind) == (0, TRAILER):
                    # On a link within one machine, several datagrams may pass as one.
                    start += HEADER_BYTES
                else:
                    # A message, which the kernel skips as well.
                    break


def _records():
    """(moment, payload) of each datagram in the capture."""
    with open(CAPTURE, "rb") as file:
        data = file.read()
    offset = FILE_HEADER
    while offset < len(data):
        seconds, microseconds, length, _ = RECORD_HEADER.unpack_from(data, offset)
        offset += RECORD_HEADER.size
        yield seconds + microseconds / 1e6, data[offset + HEADERS:offset + length]
        offset += length
