"""our daemon: the sync interface is deleted and made again, down and up, renamed, and loses and gets its address"""

import os
import time

from lab.network import SYNC4, SYNC6
from lab.system import ip, poll

DAEMONS = "ours"

RENAMED = "which is other now"
JOINED = "is joined again, over"

_MAKE = "link add sync netns j type veth peer name sync netns k\n"
_DRESS = """
address replace {sync6}/64 dev sync
address replace {sync4}/24 dev sync
link set sync up
"""


def run(stage):
    stage.add_instances()
    for family in ("ipv6", "ipv4"):
        stage.family = family
        at_j, at_k = stage.start_pair()
        new_sessions_pass(stage, "before anything happens")
        before = [len(os.listdir(f"/proc/{daemon.process.pid}/fd")) for daemon in (at_j, at_k)]
        for text, break_it, mend_it in changes(family):
            change(stage, (at_j, at_k), text, break_it, mend_it)
        stage.check_equal("both daemons have as many files open as before", before,
                          [len(os.listdir(f"/proc/{daemon.process.pid}/fd")) for daemon in (at_j, at_k)])
        for daemon in (at_j, at_k):
            daemon.stop()
        stage.daemons.clear()


def changes(family):
    """(what happens, what breaks the link, what mends it), each of them once."""
    yield "deleted and made again", lambda: ip("link delete sync\n", "j"), make
    yield "down and up", lambda: ip("link set sync down\n", "j"), lambda: dress("j")
    # Named by address, a link is not even troubled by another name.
    if family == "ipv6":
        yield "renamed", rename, lambda: None
    else:
        yield ("without its address", lambda: ip(f"address delete {SYNC4['j']}/24 dev sync\n", "j"),
               lambda: dress("j"))


def make():
    ip(_MAKE)
    for node in ("j", "k"):
        dress(node)


def dress(node):
    ip(_DRESS.format(sync6=SYNC6[node], sync4=SYNC4[node]), node)


def rename():
    """Away, which takes the link down, and back, so that what comes after finds it."""
    ip("link set sync down\nlink set sync name other\nlink set other up\n", "j")
    ip(f"address replace {SYNC6['j']}/64 dev other\n", "j")


def change(stage, daemons, text, break_it, mend_it):
    told, complaints = joined(daemons[0]), complained(daemons[0])
    break_it()
    poll(lambda: complained(daemons[0]), lambda seen: seen > complaints)
    mend_it()
    start = time.monotonic()
    if text == "renamed":
        # Down, renamed and up may be one look to the daemon, and the membership survives all of that.
        poll(daemons[0].log, lambda log: RENAMED in log)
        said = RENAMED in daemons[0].log()
    else:
        said = poll(lambda: joined(daemons[0]), lambda seen: seen > told) > told
    took = time.monotonic() - start
    stage.check(f"{text}: J's daemon is back ({took:.2f} s), and says what to do", said, "a line that says so", "none")
    new_sessions_pass(stage, f"after the interface was {text}")
    if text == "renamed":
        ip("link set other down\nlink set other name sync\n", "j")
        dress("j")
        new_sessions_pass(stage, "after it got its name back")


def joined(daemon):
    return daemon.log().count(JOINED)


def complained(daemon):
    return sum(line.startswith("joold: warning") for line in daemon.log().splitlines())


def new_sessions_pass(stage, text):
    """Until one is at K: the kernel drops what is sent over a link that has just come."""
    def missing():
        before = stage.j.sessions("udp").keys()
        stage.hosts.udp(1)
        new = stage.j.sessions("udp").keys() - before
        return poll(lambda: new - stage.k.sessions("udp").keys(), lambda seen: not seen, patience=5)
    left = poll(missing, lambda seen: not seen)
    stage.check(f"sessions made through J appear at K {text}", not left, "none missing", left)
