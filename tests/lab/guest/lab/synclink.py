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
            for start in range(0, len(datagram) - SESSION_BYTES + 1, SESSION_BYTES):
                # A datagram may end in something that is no session, which the kernel skips as well.
                if struct.unpack_from("=H", datagram, start)[0] != SESSION_BYTES:
                    break
                yield socket.inet_ntoa(datagram[start:start + SESSION_BYTES][DESTINATION4]), moment


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
