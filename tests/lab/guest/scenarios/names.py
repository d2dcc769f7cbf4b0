"""our daemon: instances that share the netlink group, interfaces by name and by address, link-local groups"""

from lab.daemon import GROUP, manuals_netsocket
from lab.jool import Instance
from lab.network import SYNC4, SYNC6
from lab.system import poll

DAEMONS = "ours"


def run(stage):
    only_its_instance_is_forwarded(stage)
    another_case(stage)
    ways_to_name_an_interface(stage)


def restart(stage, netsocket_of, instance_at_j="default"):
    for daemon in stage.daemons:
        daemon.stop()
    stage.daemons.clear()
    return (stage.start("ours", "j", netsocket_of("j"), instance=instance_at_j),
            stage.start("ours", "k", netsocket_of("k")))


def manuals_ipv6(node):
    return manuals_netsocket("ipv6", node)


def only_its_instance_is_forwarded(stage):
    """All instances of a namespace share the netlink group; Debian's Jool allows one, so it has another name."""
    stage.j = Instance("j", "other").add()
    stage.k.add()
    at_j, _ = restart(stage, manuals_ipv6)
    # More than one batch, so that the daemon has had its turn after the first.
    given = poll(lambda: stage.hosts.udp(1) or stage.j.statistics()["JOOLD_PKT_SENT"], lambda seen: seen >= 3)
    stage.check("J's kernel gives batches of the instance other to the group", given >= 3, "3 or more", given)
    stage.check_equal("the daemon of the instance default does not acknowledge them", 0,
                      stage.j.statistics()["JOOLD_ACKS"])
    stage.check_equal("nor send them", "NET_SENT_PKTS,0", sent_line(at_j))
    stage.check_equal("nor does K have their sessions", {}, stage.k.all_sessions())

    restart(stage, manuals_ipv6, instance_at_j="other")
    check_newest_at_k(stage, "the daemon of the instance other sends its sessions to K, where the name is default")
    stage.j.remove()
    stage.j = Instance("j").add()


def another_case(stage):
    """Upstream's daemon compares names without case, so that a configuration may have spelt it this way."""
    restart(stage, manuals_ipv6, instance_at_j="DEFAULT")
    check_newest_at_k(stage, "a daemon for DEFAULT sends the sessions of the instance default")


def check_newest_at_k(stage, text):
    """Makes a session through J, and looks for it at K. (Older ones were made while no daemon listened.)"""
    before = stage.j.sessions("udp").keys()
    stage.hosts.udp(1)
    new = stage.j.sessions("udp").keys() - before
    missing = poll(lambda: new - stage.k.sessions("udp").keys(), lambda seen: not seen)
    stage.check(text, new and not missing, f"{new} at K", f"missing: {missing}")


def sent_line(daemon):
    return next(line for line in daemon.statistics("::1").splitlines() if line.startswith("NET_SENT_PKTS"))


def ways_to_name_an_interface(stage):
    ways = {
        "an IPv4 group, the interface by name": lambda node: (GROUP["ipv4"], "sync"),
        "an IPv4 group, the interface by address": lambda node: (GROUP["ipv4"], SYNC4[node]),
        "an IPv6 group, the interface by name": lambda node: (GROUP["ipv6"], "sync"),
        "an IPv6 group, the interface by address": lambda node: (GROUP["ipv6"], SYNC6[node]),
        "a link-local group, the interface by name": lambda node: ("ff02::db8:64:64", "sync"),
    }
    for text, way in ways.items():
        restart(stage, lambda node, way=way: netsocket(*way(node)))
        check_newest_at_k(stage, f"sessions made through J appear at K with {text}")


def netsocket(group, interface):
    return {"multicast address": group, "multicast port": "6464", "in interface": interface,
            "out interface": interface, "ttl": 3}
