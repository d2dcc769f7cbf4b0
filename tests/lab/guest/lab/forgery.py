"""Datagrams from a stranger on the sync link, as many as the machine can make."""

import socket
import struct

from .daemon import GROUP, GROUP_PORT
from .genl import attribute
from .network import SYNC6
from .system import inside

# udp(7): the kernel cuts what is sent into datagrams of so many bytes, up to 64 at once.
SOL_UDP, UDP_SEGMENT, MOST_AT_ONCE = 17, 103, 64


def impossible_session():
    """TCP state 7, for 49 days: upstream's daemon passes it on, and the module adds it."""
    body = (socket.inet_pton(socket.AF_INET6, "2001:db8:bad::1") + socket.inet_aton("192.0.2.1")
            + socket.inet_aton("198.51.100.99") + struct.pack("!IHHHH", 0xffffffff, 1, 65535, 1, 7 << 2))
    return attribute(1, body)


class Stranger:
    """A socket in K's namespace that sends to the group; only J's daemon hears it."""

    def __init__(self):
        with inside("k"):
            self._socket = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
            index = socket.if_nametoindex("sync")
        self._socket.bind((SYNC6["k"], 0))
        self._socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, index)
        self._socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_LOOP, 0)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._socket.close()

    def send(self, datagram, times):
        """The same one so many times, at least."""
        self._socket.setsockopt(SOL_UDP, UDP_SEGMENT, len(datagram))
        portion = datagram * MOST_AT_ONCE
        for _ in range(-(-times // MOST_AT_ONCE)):
            self._socket.sendto(portion, (GROUP["ipv6"], GROUP_PORT))
