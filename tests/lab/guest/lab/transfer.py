"""A TCP transfer both ways at once that cannot end before it may: something is to happen in its middle."""

import random
import threading
import time

CHUNK = 2048
CHUNKS = 256
SIZE = CHUNK * CHUNKS
PAUSE_SECONDS = 0.01
# So many chunks are sent at once; the rest waits for leave. Whoever is quick enough meets a busy sender.
HELD_BACK_AFTER = CHUNKS * 3 // 4


class End:
    """One end of the connection: sends pseudo-random bytes while it receives the other end's."""

    def __init__(self, sock, sends, expects, may_finish):
        self._socket = sock
        self._may_finish = may_finish
        self._expects = random.Random(expects).randbytes(SIZE)
        self._sends = random.Random(sends).randbytes(SIZE)
        self.sent = 0
        self._received = bytearray()
        self._threads = [threading.Thread(target=self._send, daemon=True),
                         threading.Thread(target=self._receive, daemon=True)]

    def start(self):
        # The bytes get through or the scenario gives up: the sockets themselves wait as long as it takes.
        self._socket.settimeout(None)
        for thread in self._threads:
            thread.start()

    def _send(self):
        try:
            for number in range(CHUNKS):
                if number == HELD_BACK_AFTER:
                    self._may_finish.wait()
                self._socket.sendall(self._sends[number * CHUNK:(number + 1) * CHUNK])
                self.sent += CHUNK
                time.sleep(PAUSE_SECONDS)
        except OSError:
            pass

    def _receive(self):
        try:
            while len(self._received) < SIZE and (piece := self._socket.recv(65536)):
                self._received += piece
        except OSError:
            pass

    @property
    def received(self):
        return len(self._received)

    @property
    def complete(self):
        return self.received >= SIZE

    @property
    def intact(self):
        return self._received == self._expects

    def give_up(self):
        try:
            self._socket.shutdown(2)
        except OSError:
            pass
        for thread in self._threads:
            thread.join(10)


class Transfer:
    def __init__(self, near, far):
        self._may_finish = threading.Event()
        self.near = End(near, "to h4", "to h6", self._may_finish)
        self.far = End(far, "to h6", "to h4", self._may_finish)

    def let_finish(self):
        self._may_finish.set()

    def __enter__(self):
        self.near.start()
        self.far.start()
        return self

    def __exit__(self, *_):
        self.let_finish()
        self.near.give_up()
        self.far.give_up()

    @property
    def received(self):
        return self.near.received, self.far.received

    @property
    def complete(self):
        return self.near.complete and self.far.complete

    @property
    def in_the_middle(self):
        """Both ends have received a good part."""
        return all(end.received > SIZE / 8 for end in (self.near, self.far))

    def __str__(self):
        return "\n".join(f"{name} sent {end.sent} and received {end.received} of {SIZE} bytes, as sent: {end.intact}"
                         for name, end in (("h6", self.near), ("h4", self.far)))
