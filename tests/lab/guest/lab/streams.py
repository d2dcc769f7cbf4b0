"""TCP connections from h6 to h4, some of which carry data all the time: how long did none of it come, and is any lost?"""

import collections
import selectors
import struct
import time

from .background import Background
from .system import poll, wait_for

# The far end sends back what comes; each message is its own number.
MESSAGE = struct.Struct("!Q")
# Between two looks for what is due, if nothing comes.
LOOK_SECONDS = 0.01


class Stream:
    def __init__(self, near, far):
        self.near = near
        self.far = far
        # When it sends next, if it is busy.
        self.due = None
        self.sent = 0
        self.received = 0
        self._rest = b""
        # More than this has to come back before it counts as alive.
        self.wanted = 0
        self.last = time.monotonic()
        self.longest = 0.0
        self.broken = None

    def __str__(self):
        return (f"{self.near.getsockname()[1]}: sent {self.sent} messages, {self.received} came back, "
                f"{self.wanted} before; {self.broken or 'nothing comes'}")

    @property
    def is_busy(self):
        return self.due is not None

    @property
    def alive(self):
        return not self.broken and self.received > self.wanted

    def send(self):
        if not self.broken:
            try:
                self.near.send(MESSAGE.pack(self.sent))
                self.sent += 1
            except BlockingIOError:
                pass
            except OSError as problem:
                self.broken = f"h6: {problem}"

    def send_back(self):
        try:
            if data := self.far.recv(65536):
                self.far.send(data)
                return
            self.broken = "h4: end of the stream"
        except BlockingIOError:
            return
        except OSError as problem:
            self.broken = f"h4: {problem}"

    def receive(self, now):
        try:
            data = self.near.recv(65536)
        except BlockingIOError:
            return False
        except OSError as problem:
            data, self.broken = b"", f"h6: {problem}"
        self._take(data)
        if not data:
            self.broken = self.broken or "h6: end of the stream"
            return False
        self.longest = max(self.longest, now - self.last)
        self.last = now
        return True

    def _take(self, data):
        self._rest += data
        whole = len(self._rest) // MESSAGE.size * MESSAGE.size
        for number, in MESSAGE.iter_unpack(self._rest[:whole]):
            if number != self.received:
                self.broken = f"h6: message {number} came instead of {self.received}"
            self.received += 1
        self._rest = self._rest[whole:]


class Streams(Background):
    """One thread serves all of them, for as long as it is entered."""

    def __init__(self, hosts, period):
        """The busy ones send each `period` seconds, one after the other."""
        super().__init__()
        self._hosts = hosts
        self._period = period
        self._selector = selectors.DefaultSelector()
        self.all = []
        # In the order in which they send.
        self._queue = collections.deque()
        self._last = time.monotonic()
        self._silence = 0.0

    def __exit__(self, *details):
        super().__exit__(*details)
        self._selector.close()

    def add(self, count, busy):
        """Connections that have carried something both ways."""
        added = [Stream(near, far) for near, far in self._hosts.tcp_many(count)]
        for number, stream in enumerate(added):
            for end in (stream.near, stream.far):
                end.setblocking(False)
                self._selector.register(end, selectors.EVENT_READ, (stream, end is stream.near))
            stream.send()
            if busy:
                stream.due = time.monotonic() + self._period * number / count
        wait_for("new connections to carry something", lambda: all(stream.received for stream in added))
        self.all += added
        if busy:
            self._queue.extend(added)
        return added

    def mark(self):
        """From here on, silences are measured."""
        for stream in self.all:
            stream.longest = 0.0
        self._silence = 0.0

    def lost(self, patience):
        """Those that carry nothing of what is sent from here on, until patience ends; the idle ones are used once."""
        for stream in self.all:
            stream.wanted = stream.sent
            if not stream.is_busy:
                stream.send()
        poll(lambda: all(stream.alive or stream.broken for stream in self.all), patience=patience)
        return [stream for stream in self.all if not stream.alive]

    def longest_ms(self):
        """Since the mark, at most: (how long no busy stream carried anything, how long one that lives did not)."""
        return round(self._silence * 1000), round(max(stream.longest for stream in self.all if stream.is_busy) * 1000)

    def _run(self):
        while not self._over.is_set():
            for key, _ in self._selector.select(LOOK_SECONDS):
                stream, is_near = key.data
                if stream.broken:
                    self._selector.unregister(key.fileobj)
                elif not is_near:
                    stream.send_back()
                elif stream.receive(now := time.monotonic()) and stream.is_busy:
                    self._silence = max(self._silence, now - self._last)
                    self._last = now
            now = time.monotonic()
            while self._queue and self._queue[0].due <= now:
                self._queue[0].send()
                # Late is late: nobody catches up, or the slow machine would be slower yet.
                self._queue[0].due = now + self._period
                self._queue.rotate(-1)
