"""Packets as fast as the machine takes them: those of a few flows in turn, and now and then one of a new session."""

import contextlib
import itertools
import socket
import time

from .network import HOST4, destination
from .system import inside
from .traffic import ECHO_PORT

FLOWS = 16
NEW_SESSIONS = 1000
# A count, not a duration, so that the share of the new sessions is the same on every machine.
PACKETS_BETWEEN = 40
# After the last new session: the module waits with what fills no batch, and that is not what is measured.
PACKETS_AFTER = 20 * PACKETS_BETWEEN
PACKETS = NEW_SESSIONS * (PACKETS_BETWEEN + 1) + PACKETS_AFTER


def flood():
    """Sends it all; returns {IPv4 destination: the moment in seconds at which its session was begun}."""
    begun = {}
    flow_destination = destination(HOST4), ECHO_PORT
    with contextlib.ExitStack() as sockets:
        with inside("h6"):
            flows = [sockets.enter_context(_socket()) for _ in range(FLOWS)]
            opener = sockets.enter_context(_socket())
        flow = itertools.cycle([sock.sendto for sock in flows])
        for number in range(NEW_SESSIONS):
            for send in itertools.islice(flow, PACKETS_BETWEEN):
                send(b"more", flow_destination)
            host4 = f"198.18.{number >> 8}.{number & 255}"
            begun[host4] = time.time()
            opener.sendto(b"new", (destination(host4), ECHO_PORT))
        for send in itertools.islice(flow, PACKETS_AFTER):
            send(b"more", flow_destination)
    return begun


def _socket():
    return socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
