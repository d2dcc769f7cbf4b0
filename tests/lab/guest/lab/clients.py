"""A client with many sessions of all protocols, made as fast as the routers take them.

It has one UDP port, one TCP port and one ICMP identifier, and a destination for each session. So it takes one mapping
of each protocol, and routers that do not hear of each other hardly ever give the same one to two clients.
"""

import itertools
import socket
import struct
import time

from .jool import QUEUE_SINCE, module_version
from .network import destination
from .system import inside
from .traffic import ECHO_PORT

# The module's queue has room for 512: so many at once, and then the daemon gets a turn. Before there was a queue, what
# came behind the first twelve was lost, and the daemon needs time enough in any case.
AT_ONCE, TURN_SECONDS = 32, 0.004
AT_ONCE_WITHOUT_QUEUE, TURN_SECONDS_WITHOUT_QUEUE = 4, 0.01
ECHO_REQUEST = 128

_identifiers = itertools.count(1000)


class Client:
    def __init__(self, hosts, network="198.18"):
        """Its destinations are in `network`, a /16 of the many hosts."""
        self._hosts = hosts
        self._network = network
        self._numbers = itertools.count()
        self._tcp_port = 0
        has_queue = module_version() >= QUEUE_SINCE
        self._at_once = AT_ONCE if has_queue else AT_ONCE_WITHOUT_QUEUE
        self._turn_seconds = TURN_SECONDS if has_queue else TURN_SECONDS_WITHOUT_QUEUE
        self._echo = struct.pack("!BBHHH", ECHO_REQUEST, 0, 0, next(_identifiers), 1)
        with inside("h6"):
            self._udp = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
            # Raw, since one for pings has but one destination at a time; the kernel fills the checksum in.
            self._icmp = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._udp.close()
        self._icmp.close()

    def make(self, udp=0, tcp=0, icmp=0):
        """So many new sessions. TCP comes first: the last of its packets may be late. Returns how many in all."""
        for number in range(tcp):
            near, _ = self._hosts.tcp_used(host4=self._host4(), port=self._tcp_port)
            self._tcp_port = near.getsockname()[1]
            # A half-closed connection has another state than an open one.
            if number % 2:
                near.shutdown(socket.SHUT_WR)
        self._send(udp, lambda host: self._udp.sendto(b"new", (host, ECHO_PORT)))
        self._send(icmp, lambda host: self._icmp.sendto(self._echo, (host, 0)))
        return udp + tcp + icmp

    def _send(self, count, send):
        for number in range(count):
            if number % self._at_once == self._at_once - 1:
                time.sleep(self._turn_seconds)
            send(destination(self._host4()))

    def _host4(self):
        number = next(self._numbers) & 0xffff
        return f"{self._network}.{number >> 8}.{number & 255}"
