"""What the hosts do: pings, datagrams and connections from h6 to h4."""

import contextlib
import socket

from .network import HOST4, destination
from .system import command, inside

ECHO_PORT = 7007
# Handshakes: fewer than a listener's queue has room for.
AT_ONCE = 50


def ping(count=2):
    command("ping", "-6", "-c", str(count), "-i", "0.2", "-W", "10", destination(HOST4), namespace="h6")


class Hosts:
    """Keeps the sockets of h6 and h4 open until the end: a closed TCP connection is another session state."""

    def __init__(self):
        self._open = contextlib.ExitStack()
        with inside("h4"):
            self._listener = self._keep(socket.create_server(("0.0.0.0", ECHO_PORT)))
            self._sink = self._keep(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
            self._sink.bind(("0.0.0.0", ECHO_PORT))
            self._sink.settimeout(20)
        self._listener.settimeout(20)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._open.close()

    def _keep(self, sock):
        return self._open.enter_context(sock)

    def udp(self, count=1, host4=HOST4, answered=False):
        """`count` datagrams, each from another port: as many sessions."""
        for _ in range(count):
            with inside("h6"):
                sender = self._keep(socket.socket(socket.AF_INET6, socket.SOCK_DGRAM))
            sender.settimeout(20)
            sender.sendto(b"question", (destination(host4), ECHO_PORT))
            _, asker = self._sink.recvfrom(64)
            if answered:
                self._sink.sendto(b"answer", asker)
                sender.recv(64)

    def tcp(self, host4=HOST4, port=0):
        """An established connection, from this port if it is not 0: (the end in h6, the end in h4)."""
        with inside("h6"):
            near = self._keep(socket.socket(socket.AF_INET6, socket.SOCK_STREAM))
        near.settimeout(20)
        near.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        near.bind(("::", port))
        near.connect((destination(host4), ECHO_PORT))
        far = self._keep(self._listener.accept()[0])
        far.settimeout(20)
        return near, far

    def tcp_many(self, count):
        """So many established connections, in less time than one by one: some handshakes are under way at once."""
        for start in range(0, count, AT_ONCE):
            nears = self._begun(min(AT_ONCE, count - start))
            fars = [self._keep(self._listener.accept()[0]) for _ in nears]
            # The order in which they were accepted tells nothing.
            for number, near in enumerate(nears):
                near.settimeout(20)
                near.sendall(bytes([number]))
            for far in fars:
                far.settimeout(20)
                yield nears[far.recv(1)[0]], far

    def _begun(self, count):
        with inside("h6"):
            nears = [self._keep(socket.socket(socket.AF_INET6, socket.SOCK_STREAM)) for _ in range(count)]
        for near in nears:
            near.setblocking(False)
            near.connect_ex((destination(HOST4), ECHO_PORT))
        return nears

    def tcp_used(self, **options):
        """A connection that has carried something both ways."""
        near, far = self.tcp(**options)
        near.sendall(b"question")
        far.recv(64)
        far.sendall(b"answer")
        near.recv(64)
        return near, far
