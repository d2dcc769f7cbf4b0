"""our daemon: what the kernel refuses is logged, at a bounded rate, and synchronization goes on"""

import random
import re
import socket
import struct

from lab.complaints import KernelLog
from lab.daemon import GROUP, GROUP_PORT
from lab.network import SYNC6
from lab.system import inside, poll

DAEMONS = "ours"

MANY = 100
MUTATED = 5000
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
    other_byte_order(stage)
    # An instance that the daemon saw being created may have any pool4 for some seconds.
    at_j = fresh(stage, at_j)
    mutated_datagrams(stage, at_j)
    at_j = fresh(stage, at_j)
    takes_nothing(stage, at_j, "synchronization disabled at J", "synchronization was turned off",
                  "synchronization was turned on",
                  begin=lambda: stage.j.set("ss-enabled", "false"), end=lambda: stage.j.set("ss-enabled", "true"))
    at_j = fresh(stage, at_j)
    takes_nothing(stage, at_j, "the instance missing at J", "lacks an instance named 'default'", "sessions are synchronized",
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
    stage.check("the log says where they came from", SYNC6["k"] in at_j.log(), SYNC6["k"], at_j.log())


def other_byte_order(stage):
    """Sessions as a router of the other byte order sends them: the headers alone are turned round."""
    count = 36
    ports = stage.j.free_ports("udp", count)
    datagram = b"".join(bytes(reversed(struct.pack("=H", 40))) + bytes(reversed(struct.pack("=H", 1)))
                        + flat_session(number, port, 1 << 5, 60000) for number, port in enumerate(ports))
    before = stage.j.sessions("udp").keys()
    send_to_group(datagram, 1)
    new = poll(lambda: stage.j.sessions("udp").keys() - before, lambda seen: len(seen) >= count)
    stage.check_equal("sessions in the other byte order are taken", count, len(new))
    stage.j.remove()
    stage.j.add()


def flat_session(number, port4, bits, lifetime_ms):
    return struct.pack(">QQ4s4sIHHHH", 0x20010db800060000, 9, bytes((192, 0, 2, 1)), bytes((198, 18, 1, number)),
                       lifetime_ms, 30000 + number, port4, 7007, bits)


def mutated_datagrams(stage, at_j):
    """Whatever passes the daemon's check, the module takes without a word."""
    chance = random.Random("mutations")
    log, received_before = KernelLog(), received(at_j)
    given_before = stage.j.statistics()["JOOLD_PKT_RCVD"]
    for start in range(0, MUTATED, MANY):
        for _ in range(MANY):
            send_to_group(mutated(chance), 1)
        poll(lambda: received(at_j) - received_before, lambda seen: seen >= start + MANY)
    count = received(at_j) - received_before
    stage.check(f"{MUTATED} mutated datagrams reach the daemon", count >= MUTATED, MUTATED, count)
    given = stage.j.statistics()["JOOLD_PKT_RCVD"] - given_before
    stage.check(f"some of them ({given}) are for the kernel, and some are not", MUTATED // 4 < given < MUTATED * 3 // 4,
                f"{MUTATED // 4} to {MUTATED * 3 // 4}", given)
    stage.check_equal("J's kernel log has no complaint about them", [], log.lines())
    # A session outside pool4 would make this fail from then on.
    stage.j.set("ss-capacity", 600)
    # What was taken fills much of pool4, and what K makes would collide with it.
    stage.j.remove()
    stage.j.add()
    still_in_sync(stage, "after mutated datagrams, in an instance created anew")


def mutated(chance):
    """Up to 36 sessions, then a few changes: of a bit, of a byte, of the length, of what follows."""
    datagram = bytearray()
    for number in range(chance.randint(1, 36)):
        protocol, timer = chance.choice(((0, chance.randint(0, 2)), (1, 0), (2, 0)))
        bits = protocol << 5 | chance.randint(0, 6) << 2 | timer
        datagram += struct.pack("=HH", 40, 1)
        datagram += struct.pack(">QQ4s4sIHHHH", 0x20010db800060000, chance.randint(8, 99999), bytes((192, 0, 2, 1)),
                                bytes((198, 18, 0, chance.randint(0, 255))), chance.randint(0, 7200000),
                                chance.randint(0, 65535), chance.randint(61001, 65535), chance.randint(0, 65535), bits)
    for _ in range(chance.randint(0, 3)):
        at = chance.randrange(len(datagram))
        change = chance.randint(0, 5)
        if change < 3:
            datagram[at] ^= 1 << chance.randint(0, 7)
        elif change == 3:
            datagram[at] = chance.randint(0, 255)
        elif change == 4:
            del datagram[max(at, 1):]
        else:
            datagram += chance.randbytes(chance.randint(1, 40))
    return bytes(datagram)


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


def takes_nothing(stage, at_j, what, told, over, begin, end):
    """The daemon says so once, and passes nothing on: for each request the module would log a line."""
    lines_before, over_before = at_j.log().splitlines(), at_j.log().count(over)
    begin()
    poll(at_j.log, lambda log: told in "\n".join(log.splitlines()[len(lines_before):]))
    log = KernelLog()
    before = received(at_j)
    count = poll(lambda: stage.hosts.udp(5) or received(at_j) - before, lambda seen: seen > MOST_LINES, pause=0)
    stage.check(f"{what}: sessions reach our daemon again and again", count > MOST_LINES,
                f"more than {MOST_LINES} datagrams", count)
    new_lines = at_j.log().splitlines()[len(lines_before):]
    stage.check_equal(f"{what}: our daemon says so once", 1, sum(told in line for line in new_lines))
    stage.check(f"{what}: at most {MOST_LINES} lines in the log", len(new_lines) <= MOST_LINES,
                f"at most {MOST_LINES} lines", "\n".join(new_lines))
    stage.check_equal(f"{what}: no line in the kernel's log", [], log.lines())
    end()
    poll(at_j.log, lambda log: log.count(over) > over_before)
    still_in_sync(stage, f"after {what}")


def still_in_sync(stage, when):
    """A new session through K appears at J. (Those made meanwhile may be missing there.)"""
    before = stage.k.sessions("udp").keys()
    stage.hosts.udp(1)
    new = stage.k.sessions("udp").keys() - before
    missing = poll(lambda: new - stage.j.sessions("udp").keys(), lambda seen: not seen)
    stage.check(f"in sync {when}", new and not missing, f"{new} at J", f"missing: {missing}")
