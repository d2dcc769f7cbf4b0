"""our daemon: what the kernel refuses is logged, at a bounded rate, and synchronization goes on"""

import random
import re
import socket
import struct

from lab.daemon import GROUP, GROUP_PORT
from lab.network import SYNC6
from lab.system import inside, poll

DAEMONS = "ours"

MANY = 100
# Far below one line for each refusal, far above what a daemon needs to say once and again.
MOST_LINES = 20


def run(stage):
    """Each kind of trouble has a daemon of its own at J, or the bound of one would hide what the next says."""
    stage.family = "ipv6"
    stage.add_instances()
    at_j, at_k = stage.start_pair()
    # Sessions are made through K from here on, so that J is the one that hears strange things.
    stage.network.hand_over("k")
    still_in_sync(stage, "before anything strange happens")

    malformed_datagrams(stage, at_j)
    at_j = fresh(stage, at_j)
    refused(stage, at_j, "synchronization disabled at J", "Session sync is disabled", "22",
            begin=lambda: stage.j.set("ss-enabled", "false"), end=lambda: stage.j.set("ss-enabled", "true"))
    at_j = fresh(stage, at_j)
    refused(stage, at_j, "the instance missing at J", "lacks an instance named 'default'", "3",
            begin=stage.j.remove, end=stage.j.add)

    for name, daemon in (("J", at_j), ("K", at_k)):
        stage.check_equal(f"our daemon at {name} is alive at the end and stops with status 0", (None, 0),
                          (daemon.process.poll(), daemon.stop()))


def fresh(stage, daemon):
    stage.check_equal("our daemon stops with status 0", 0, daemon.stop())
    stage.daemons.remove(daemon)
    return stage.start("ours", "j")


def malformed_datagrams(stage, at_j):
    noise = random.Random("noise")
    kinds = {
        "a 4-byte attribute": struct.pack("=HH", 4, 1),
        "three stray bytes": b"\1\2\3",
        "an empty datagram": b"",
        "a session cut short": struct.pack("=HH", 40, 1) + bytes(20),
        "an attribute of another type": struct.pack("=HHI", 8, 99, 0),
        "1400 random bytes": noise.randbytes(1400),
    }
    for text, datagram in kinds.items():
        lines_before, received_before = len(at_j.log().splitlines()), received(at_j)
        send_to_group(datagram, MANY)
        count = poll(lambda: received(at_j) - received_before, lambda seen: seen >= MANY)
        stage.check(f"{text}, {MANY} times: all of them reach the daemon", count >= MANY, MANY, count)
        still_in_sync(stage, f"after {text}")
        lines = at_j.log().splitlines()[lines_before:]
        stage.check(f"{text}: at most {MOST_LINES} lines in the log", len(lines) <= MOST_LINES,
                    f"at most {MOST_LINES} lines", "\n".join(lines))
    told = 'Session size (4) < 36'
    stage.check("the log has the kernel's words and code for the 4-byte attribute",
                any(told in line and re.search(r"\b22\b", line) for line in at_j.log().splitlines()), f"a line with {told!r} and 22",
                at_j.log())


def received(daemon):
    return daemon.counters()["NET_RCVD_PKTS"]


def send_to_group(datagram, times):
    with inside("k"):
        sender = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
        index = socket.if_nametoindex("sync")
    with sender:
        sender.bind((SYNC6["k"], 0))
        sender.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, index)
        sender.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_LOOP, 0)
        for _ in range(times):
            sender.sendto(datagram, (GROUP["ipv6"], GROUP_PORT))


def refused(stage, at_j, what, text, code, begin, end):
    lines_before = at_j.log().splitlines()
    begin()
    # Every packet is an update, so that the kernel at J refuses again and again.
    before = received(at_j)
    refusals = poll(lambda: stage.hosts.udp(5) or received(at_j) - before, lambda seen: seen > MOST_LINES, pause=0)
    stage.check(f"{what}: sessions reach our daemon again and again", refusals > MOST_LINES,
                f"more than {MOST_LINES} datagrams", refusals)
    new_lines = poll(lambda: at_j.log().splitlines()[len(lines_before):],
                     lambda lines: any(text in line for line in lines))
    stage.check(f"{what}: our daemon says so, with the kernel's words and code {code}",
                any(text in line and re.search(rf"\b{code}\b", line) for line in new_lines), f"a line with {text!r} and {code}",
                "\n".join(new_lines))
    stage.check(f"{what}: at most {MOST_LINES} lines in the log", len(new_lines) <= MOST_LINES,
                f"at most {MOST_LINES} lines", "\n".join(new_lines))
    end()
    still_in_sync(stage, f"after {what}")


def still_in_sync(stage, when):
    """A new session through K appears at J. (Those made meanwhile may be missing there.)"""
    before = stage.k.sessions("udp").keys()
    stage.hosts.udp(1)
    new = stage.k.sessions("udp").keys() - before
    missing = poll(lambda: new - stage.j.sessions("udp").keys(), lambda seen: not seen)
    stage.check(f"in sync {when}", new and not missing, f"{new} at J", f"missing: {missing}")
