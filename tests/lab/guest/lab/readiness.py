"""Whether `jooldctl check` lets a router become master: never while its table lacks something, and soon afterwards.

Where no jooldctl came with the daemon, and with upstream's, there is nothing to ask, and nothing is checked.
"""

import contextlib
import threading
import time

from .daemon import has_jooldctl
from .statistic import SESSIONS, Statistic
from .system import poll

# Between two questions. Each takes a process.
PAUSE_SECONDS = 0.05
# The exit statuses of jooldctl check: it may, and it may not. Others are errors: nobody answers, for example.
MAY, MAY_NOT = 0, 1


class Readiness:
    def __init__(self, stage, daemon):
        self._stage = stage
        self._daemon = daemon
        self._asks = daemon.kind == "ours" and has_jooldctl()
        # (moment, exit status, sessions in the kernel right after it)
        self._answers = []

    def check_is_ready(self, when, patience):
        if self._asks:
            self._stage.check_equal(f"{when}: jooldctl check says that it may become master", MAY,
                                    poll(self._daemon.jooldctl_check, lambda status: status == MAY, patience))

    def check_is_not_ready(self, when):
        if self._asks:
            status = self._daemon.jooldctl_check()
            self._stage.check(f"{when}: jooldctl check fails, for it cannot tell", status not in (MAY, MAY_NOT),
                              "an error's status", status)

    @contextlib.contextmanager
    def watched(self, count):
        """Asks all the while, and checks that it says yes at no moment at which the kernel has not `count` sessions.

        The kernel is asked after it: a table that is incomplete then was so before.
        """
        if not self._asks:
            yield
            return
        over = threading.Event()
        thread = threading.Thread(target=self._watch, args=(over,), daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()
        premature = [(status, sessions) for _, status, sessions in self._answers if status == MAY and sessions != count]
        self._stage.check(f"jooldctl check says no while something is missing (asked {len(self._answers)} times)",
                          self._answers and not premature, f"{MAY} only with {count} sessions",
                          f"(status, sessions): {premature[:5]}")

    def _watch(self, over):
        with Statistic(self._daemon.namespace, SESSIONS) as size:
            while not over.wait(PAUSE_SECONDS):
                status = self._daemon.jooldctl_check()
                self._answers.append((time.monotonic(), status, size.read()))

    def first_yes(self):
        """The moment when it first said yes, if it did while it was watched."""
        return next((moment for moment, status, _ in self._answers if status == MAY), None)

    def figures(self, start):
        if not self._asks:
            return {}
        first = self.first_yes()
        return {"jooldctl check succeeds after, s": "later" if first is None else first - start}
