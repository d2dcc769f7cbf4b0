"""One of the kernel's counters of an instance, asked without a process: quick enough to time by."""

import struct

from .genl import HEADERS, OFFSET_U8, STATS_FOREACH, Link, attribute, attributes

# How many sessions the table has, and how many came with JOOLD_ADD.
SESSIONS, SESSIONS_RECEIVED = 5, 77


class Statistic:
    def __init__(self, namespace, number):
        self._namespace = namespace
        self._number = number
        self._link = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def read(self):
        """None while there is no module or no instance."""
        try:
            self._link = self._link or Link(self._namespace)
            self._link.jool(STATS_FOREACH, attribute(OFFSET_U8, bytes([self._number - 1])))
            return struct.unpack("=Q", attributes(self._link.receive()[HEADERS:])[self._number])[0]
        except (OSError, KeyError, StopIteration, struct.error):
            # The family's number may have changed: it is looked up again next time.
            self.close()
            return None

    def close(self):
        if self._link:
            self._link.socket.close()
        self._link = None
