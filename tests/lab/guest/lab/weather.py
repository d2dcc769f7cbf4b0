"""What befalls datagrams on a link: some are lost, doubled or overtaken, the link is narrow, or nothing gets through.

A queueing discipline of the kernel does it, at each of a link's ends, to what leaves there. The dice of netem are
seeded, where it can be (since Linux 6.6), so that the same datagrams would meet with the same fate; how many there are
is a matter of the scheduler.
"""

import contextlib
import json

from .system import CommandFailed, command

# (namespace, interface) of both ends of the sync link.
SYNC = (("j", "sync"), ("k", "sync"))
SEED = 64


class Weather:
    """What came of it so far, at some ends or at all."""

    def __init__(self, ends):
        self._ends = ends

    def lost(self, *ends):
        """Packets that were dropped: nearly all are the daemons' datagrams."""
        return sum(self._statistics(end)["drops"] for end in ends or self._ends)

    def kilobytes(self, *ends):
        """What got through, with the headers."""
        return sum(self._statistics(end)["bytes"] for end in ends or self._ends) // 1000

    @staticmethod
    def _statistics(end):
        namespace, interface = end
        return json.loads(command("tc", "-s", "-j", "qdisc", "show", "dev", interface, "root", namespace=namespace))[0]


@contextlib.contextmanager
def _discipline(ends, kind, *words, seeds=False):
    """It is there meanwhile. What it still holds at the end is lost."""
    seeds = seeds and _can_be_seeded()
    with contextlib.ExitStack() as undo:
        for number, (namespace, interface) in enumerate(ends):
            seed = ("seed", str(SEED + number)) if seeds else ()
            command("tc", "qdisc", "add", "dev", interface, "root", kind, *words, *seed, namespace=namespace)
            undo.callback(command, "tc", "qdisc", "delete", "dev", interface, "root", namespace=namespace)
        yield Weather(ends)


def _can_be_seeded():
    try:
        usage = command("tc", "qdisc", "add", "dev", "lo", "root", "netem", "help")
    except CommandFailed as failure:
        usage = str(failure)
    return "seed" in usage


def rough(loss, duplicate=0, overtaking=0, delay_ms=0, ends=SYNC):
    """So many percent are lost, come twice, or overtake the others, which are late by `delay_ms`."""
    words = ["loss", f"{loss}%", "duplicate", f"{duplicate}%"]
    if overtaking:
        words += ["delay", f"{delay_ms}ms", "reorder", f"{overtaking}%"]
    return _discipline(ends, "netem", *words, seeds=True)


def narrow(mbit, queue_kb, ends=SYNC):
    """So many Mbit/s, and a queue of so many kB in front of it: what finds it full is lost."""
    return _discipline(ends, "tbf", "rate", f"{mbit}mbit", "burst", "10kb", "limit", f"{queue_kb}kb")


def partition(ends=SYNC):
    """Nothing gets through, either way; the links stay up, and healed it is on leaving."""
    return _discipline(ends, "netem", "loss", "100%")
