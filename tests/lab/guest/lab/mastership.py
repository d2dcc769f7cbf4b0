"""Who has the virtual router's addresses, watched all the time."""

import socket
import time

from .background import Background
from .network import VIRTUAL6
from .statistic import SESSIONS, Statistic
from .system import inside, wait_for

LOOK_SECONDS = 0.01
# As /proc has it. keepalived sets this one last.
_ADDRESS = socket.inet_pton(socket.AF_INET6, VIRTUAL6).hex()


class Mastership(Background):
    """Of one router, while it is entered."""

    def __init__(self, namespace):
        super().__init__()
        self.namespace = namespace
        # (moment, whether it is master, sessions in its kernel right then)
        self.changes = []

    def _run(self):
        with inside(self.namespace), Statistic(self.namespace, SESSIONS) as size:
            was = None
            while not self._over.wait(LOOK_SECONDS):
                with open("/proc/thread-self/net/if_inet6") as file:
                    now = any(line.startswith(_ADDRESS) for line in file)
                if now != was:
                    self.changes.append((time.monotonic(), now, size.read()))
                    was = now

    @property
    def is_master(self):
        return bool(self.changes) and self.changes[-1][1]

    def wait_until_master(self):
        """(The moment when it became master, its kernel's sessions then.)"""
        wait_for(f"{self.namespace} to become master", lambda: self.is_master)
        moment, _, sessions = self.changes[-1]
        return moment, sessions

    def wait_until_not_master(self):
        wait_for(f"{self.namespace} to be master no more", lambda: not self.is_master)
