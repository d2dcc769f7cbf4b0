"""A ping from h6 to h4 every few milliseconds, and the longest time without an answer."""

import re
import signal
import subprocess
import time

from .network import HOST4, destination
from .system import inside

OUTPUT = "/tmp/pinging.log"
ANSWER = re.compile(r"^\[(\d+\.\d+)\] \d+ bytes from ", re.MULTILINE)


class Pinging:
    """While it is entered. What came of it can be read afterwards."""

    def __init__(self, period):
        self._period = period
        self._answers = []

    def __enter__(self):
        with inside("h6"), open(OUTPUT, "w") as output:
            self._ping = subprocess.Popen(["ping", "-6", "-n", "-D", "-i", str(self._period), destination(HOST4)],
                                          stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT)
        return self

    def __exit__(self, *_):
        self._ping.send_signal(signal.SIGINT)
        self._ping.wait(60)
        with open(OUTPUT) as file:
            self._answers = [float(moment) for moment in ANSWER.findall(file.read())]

    @staticmethod
    def now():
        """The clock that ping has for its answers."""
        return time.time()

    def longest_ms(self, start, end):
        """The longest time without an answer that ended between these moments."""
        gaps = [later - sooner for sooner, later in zip(self._answers, self._answers[1:]) if start < later <= end]
        return round(max(gaps) * 1000) if gaps else "no answer"
