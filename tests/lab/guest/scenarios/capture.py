"""prints in hex what the kernel module says on netlink: a tool, not a check; only on request"""

import struct

from lab.genl import (JOOLD_ACK, JOOLD_ADD, JOOLD_ADVERTISE, GLOBAL_FOREACH, PROTO, SESSION_ENTRIES, SESSION_FOREACH,
                      STATS_FOREACH,
                      Link, attribute, session)
from lab.jool import Instance
from lab.network import Network
from lab.system import command
from lab.traffic import Hosts, ping

DAEMONS = "tool"

ONE_SESSION = session(("2001:db8:6::8", 1111), ("192.0.2.1", 61111), ("192.0.2.8", 80), 300000, protocol=1)
# The same IPv4 transport addresses for another IPv6 host.
COLLIDING = session(("2001:db8:6::9", 2222), ("192.0.2.1", 61111), ("192.0.2.8", 80), 300000, protocol=1)
NEVER = 3600 * 1000


def container(payload):
    return attribute(SESSION_ENTRIES, payload, nested=True)


def show(title, *messages):
    print(f"\n## {title}")
    for label, message in messages:
        if message is None:
            print(f"{label}: nothing")
            continue
        print(f"{label}: {len(message)} bytes")
        for start in range(0, len(message), 16):
            print("    " + message[start:start + 16].hex(" "))


def exchange(link, title, send):
    """Sends, and shows the request with whatever the kernel answered meanwhile."""
    request = send()
    answers = []
    # Requests run inside send(): an answer is there already, or will never come.
    while (answer := link.waiting()) is not None:
        answers.append(("answer", answer))
    show(title, ("request", request), *(answers or [("answer", None)]))


def drain(link):
    """Takes what the module has to say, until it waits for sessions again."""
    for _ in range(10):
        while link.waiting() is not None:
            pass
        link.jool(JOOLD_ACK)
        if (last := link.waiting()) is None:
            return
    show("an ACK is always answered", ("answer", last))


def batches(node, link, hosts):
    node.set("ss-flush-deadline", 20)
    hosts.tcp()
    show("a batch of a new TCP connection's first update (multicast, group joold)", ("batch", link.receive()))
    # From here on the module flushes only when asked to.
    node.set("ss-flush-deadline", NEVER)
    drain(link)
    ping(1)
    hosts.udp(2)
    hosts.tcp_used()
    show("session table now: " + " | ".join(node.tables().split()))
    request = link.jool(JOOLD_ADVERTISE)
    first, second = link.receive(), link.receive()
    show("JOOLD_ADVERTISE: the batch and the response, in the order in which they came; 3 protocols",
         ("request", request), ("first", first), ("second", second))
    drain(link)


def refusals(node, link):
    exchange(link, "JOOLD_ACK of an instance that does not exist", lambda: link.jool(JOOLD_ACK, instance="missing"))
    exchange(link, "JOOLD_ADD of one session: accepted", lambda: link.jool(JOOLD_ADD, container(ONE_SESSION)))
    exchange(link, "JOOLD_ADD of the same session again", lambda: link.jool(JOOLD_ADD, container(ONE_SESSION)))
    exchange(link, "JOOLD_ADD of a session that collides with it",
             lambda: link.jool(JOOLD_ADD, container(COLLIDING)))
    exchange(link, "JOOLD_ADD of a 4-byte attribute", lambda: link.jool(JOOLD_ADD, container(attribute(1, b""))))
    exchange(link, "JOOLD_ADD of an empty container", lambda: link.jool(JOOLD_ADD, container(b"")))
    exchange(link, "JOOLD_ADD of four zero bytes", lambda: link.jool(JOOLD_ADD, container(bytes(4))))
    exchange(link, "JOOLD_ADD of three stray bytes", lambda: link.jool(JOOLD_ADD, container(b"\1\2\3")))
    # Not asked: JOOLD_ADD without a container. 4.1.13 follows a null pointer, and the machine is lost.
    exchange(link, "JOOLD_ADD with a container without NLA_F_NESTED",
             lambda: link.jool(JOOLD_ADD, attribute(SESSION_ENTRIES, ONE_SESSION)))
    exchange(link, "JOOLD_ADD with version 5.0.0.0",
             lambda: link.jool(JOOLD_ADD, container(ONE_SESSION), version=(5, 0, 0, 0)))
    exchange(link, "JOOLD_ADD with version 4.1.0.0",
             lambda: link.jool(JOOLD_ADD, container(ONE_SESSION), version=(4, 1, 0, 0)))
    exchange(link, "JOOLD_ADD with the magic 'looj'",
             lambda: link.jool(JOOLD_ADD, container(ONE_SESSION), magic=b"looj"))
    exchange(link, "JOOLD_ADD with NLM_F_ACK", lambda: link.jool(JOOLD_ADD, container(ONE_SESSION), flags=5))
    exchange(link, "a command that does not exist (250)", lambda: link.jool(250))
    link.unprivileged = True
    exchange(link, "JOOLD_ADD without CAP_NET_ADMIN", lambda: link.jool(JOOLD_ADD, container(ONE_SESSION)))
    exchange(link, "JOOLD_ACK without CAP_NET_ADMIN", lambda: link.jool(JOOLD_ACK))
    exchange(link, "GLOBAL_FOREACH without CAP_NET_ADMIN", lambda: link.jool(GLOBAL_FOREACH))
    link.unprivileged = False
    exchange(link, "JOOLD_ADVERTISE; the table holds sessions, no ACK was sent since the last batch",
             lambda: link.jool(JOOLD_ADVERTISE))
    exchange(link, "JOOLD_ADVERTISE again: one packet was enough, so the first is not going on any more",
             lambda: link.jool(JOOLD_ADVERTISE))
    drain(link)
    node.set("ss-enabled", "false")
    exchange(link, "JOOLD_ADVERTISE while ss-enabled is false", lambda: link.jool(JOOLD_ADVERTISE))
    exchange(link, "JOOLD_ADD while ss-enabled is false", lambda: link.jool(JOOLD_ADD, container(ONE_SESSION)))
    exchange(link, "JOOLD_ACK while ss-enabled is false", lambda: link.jool(JOOLD_ACK))
    node.set("ss-enabled", "true")


def long_advertise(link, hosts):
    drain(link)
    hosts.udp(80, host4="198.18.0.1")
    drain(link)
    exchange(link, "JOOLD_ADVERTISE of more sessions than fit into two packets", lambda: link.jool(JOOLD_ADVERTISE))
    exchange(link, "JOOLD_ADVERTISE while that one is going on", lambda: link.jool(JOOLD_ADVERTISE))
    exchange(link, "JOOLD_ACK: the next packet", lambda: link.jool(JOOLD_ACK))
    exchange(link, "JOOLD_ACK: the last packet", lambda: link.jool(JOOLD_ACK))
    exchange(link, "JOOLD_ACK: nothing is left", lambda: link.jool(JOOLD_ACK))


def questions(link):
    exchange(link, "GLOBAL_FOREACH", lambda: link.jool(GLOBAL_FOREACH))
    exchange(link, "GLOBAL_FOREACH of an instance that does not exist",
             lambda: link.jool(GLOBAL_FOREACH, instance="missing"))
    exchange(link, "SESSION_FOREACH of TCP: the format that batches had before 4.1.12",
             lambda: link.jool(SESSION_FOREACH, attribute(PROTO, struct.pack("=B", 0))))
    exchange(link, "STATS_FOREACH, first page", lambda: link.jool(STATS_FOREACH))
    exchange(link, "STATS_FOREACH, from statistic 53 on",
             lambda: link.jool(STATS_FOREACH, attribute(9, struct.pack("=B", 52))))


def run():
    print("# Jool", command("modinfo", "-F", "version", "jool").strip(), "on Linux",
          command("uname", "-r", "-m").strip())
    with Network(), Hosts() as hosts, Link("j") as link:
        node = Instance("j").add()
        show("CTRL_CMD_GETFAMILY of Jool", ("answer", link.family_answer))
        link.join()
        batches(node, link, hosts)
        refusals(node, link)
        long_advertise(link, hosts)
        questions(link)
    print("\n## what the module logged meanwhile")
    print(command("sh", "-c", "dmesg | grep -i jool | tail -n 40"))
