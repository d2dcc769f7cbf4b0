"""The network: two NAT64s that share an IPv6 side and an IPv4 side, a host on each, and a sync link.

    h6 --- [bridge six] --- j, k --- [bridge four] --- h4
                            j - k    (sync)

One of j and k is active: it owns the virtual router's addresses, 2001:db8:6::1 towards h6 and 192.0.2.1 (the
pool4 address) towards h4. It owns them as VRRP would have it: on interfaces with the virtual router's MAC
addresses, so that a takeover leaves the hosts' neighbour caches right.
"""

import contextlib

from .system import CommandFailed, command, inside, ip, sysctl, wait_for

NAMESPACES = ("sw", "j", "k", "h6", "h4")
POOL6 = "64:ff9b::/96"
POOL4 = "192.0.2.1"
# The virtual router's other address: h6's gateway.
VIRTUAL6 = "2001:db8:6::1"
HOST6 = "2001:db8:6::8"
HOST4 = "192.0.2.8"
# Everything in here is h4 too: as many distinct destinations as wanted.
MANY_HOSTS4 = "198.18.0.0/15"

SYNC6 = {"j": "2001:db8:ff08::1", "k": "2001:db8:ff08::2", "l": "2001:db8:ff08::3"}
SYNC4 = {"j": "198.51.100.1", "k": "198.51.100.2", "l": "198.51.100.3"}

_LINKS = """
link add six-j netns sw type veth peer name six netns j
link add six-k netns sw type veth peer name six netns k
link add six-h netns sw type veth peer name eth0 netns h6
link add four-j netns sw type veth peer name four netns j
link add four-k netns sw type veth peer name four netns k
link add four-h netns sw type veth peer name eth0 netns h4
"""

_SYNC = "link add sync netns j type veth peer name sync netns k\n"

# With a third router: a switch of its own.
_SYNC_SWITCH = """
link add sync type bridge mcast_snooping 0
link set sync up
""" + "".join(f"link add sync-{node} type veth peer name sync netns {node}\nlink set sync-{node} master sync up\n"
              for node in "jkl")

# Without an IGMP or MLD querier, snooping would stop forwarding multicast after a while.
_SWITCH = """
link add six type bridge mcast_snooping 0
link add four type bridge mcast_snooping 0
link set six up
link set four up
""" + "".join(f"link set {side}-{node} master {side} up\n" for side in ("six", "four") for node in "jkh")

_HOST6 = f"""
link set lo up
address add {HOST6}/64 dev eth0
link set eth0 up
route add default via {VIRTUAL6}
"""

_HOST4 = f"""
link set lo up
address add {HOST4}/24 dev eth0
link set eth0 up
route add local {MANY_HOSTS4} dev lo
"""

_ROUTER = """
link set lo up
address add 2001:db8:6::{number}/64 dev six
address add 192.0.2.{number}/24 dev four
link set six up
link set four up
route add {many} via {host4}
"""

_ROUTER_SYNC = """
address replace {sync6}/64 dev sync
address replace {sync4}/24 dev sync
link set sync up
"""

_BECOME_ACTIVE = f"""
link add vrrp6 link six address 00:00:5e:00:02:06 type macvlan mode private
link add vrrp4 link four address 00:00:5e:00:01:04 type macvlan mode private
address add {VIRTUAL6}/128 dev vrrp6
address add {POOL4}/32 dev vrrp4
link set vrrp6 up
link set vrrp4 up
"""

_SPLIT = f"route add {POOL6.removesuffix('/96')}198.19.0.0/112 via 2001:db8:6::3\n"

_BECOME_PASSIVE = "link delete vrrp6\nlink delete vrrp4\n"


def destination(host4):
    """The IPv6 address under which h6 finds an IPv4 host."""
    return "64:ff9b::" + host4


class Network:
    """Built on entry; on exit nothing of it is left."""

    def __init__(self):
        self.active = None

    def __enter__(self):
        self._delete()
        try:
            self._build()
        except BaseException:
            self._delete()
            raise
        return self

    def __exit__(self, *_):
        self._delete()

    def _build(self):
        ip("".join(f"netns add {name}\n" for name in NAMESPACES))
        for name in NAMESPACES:
            sysctl(name, ipv6__conf__default__accept_dad=0, ipv6__conf__default__accept_ra=0)
        for name, number in (("j", 2), ("k", 3)):
            # Announce new addresses, as a VRRP daemon does; answer and ask for an address only on the
            # interface that has it, or j's own MAC address would be learnt for the virtual router.
            sysctl(name, ipv4__ip_forward=1, ipv6__conf__all__forwarding=1,
                   ipv4__conf__default__arp_notify=1, ipv6__conf__default__ndisc_notify=1,
                   ipv4__conf__default__arp_ignore=1, ipv4__conf__default__arp_announce=2,
                   ipv4__conf__all__rp_filter=0, ipv4__conf__default__rp_filter=0)
        ip(_LINKS)
        ip(_SWITCH, "sw")
        ip(_HOST6, "h6")
        ip(_HOST4, "h4")
        for name, number in (("j", 2), ("k", 3)):
            ip(_ROUTER.format(number=number, many=MANY_HOSTS4, host4=HOST4), name)
        self.build_sync()
        self.activate("j")
        self.wait_for_links(NAMESPACES)

    def build_sync(self):
        """The sync link, new."""
        ip(_SYNC)
        for name in "jk":
            self.set_up_sync(name)

    @staticmethod
    def set_up_sync(name):
        """Up, with both its addresses: those of IPv6 go when it goes down."""
        ip(_ROUTER_SYNC.format(sync6=SYNC6[name], sync4=SYNC4[name]), name)

    def add_third(self):
        """A third NAT64, l, that only hears what the others say: no host sends through it. The sync link is new, and
        becomes a switch."""
        ip("netns add l\n")
        sysctl("l", ipv6__conf__default__accept_dad=0, ipv6__conf__default__accept_ra=0)
        ip("link delete sync", "j")
        ip(_SYNC_SWITCH, "sw")
        ip("link set lo up\n", "l")
        for name in "jkl":
            self.set_up_sync(name)
        self.wait_for_links(("sw", "j", "k", "l"))

    @staticmethod
    def wait_for_links(names):
        """The kernel takes up to a second to notice a new link, and drops what is sent over it meanwhile."""
        for name in names:
            wait_for(f"the links of {name} to be up", lambda name=name: links_down(name), lambda seen: not seen)

    @staticmethod
    def split():
        """From here on, half of the many hosts are reached through K: 198.19.0.0/16."""
        ip(_SPLIT, "h6")

    @staticmethod
    def _delete():
        for name in (*NAMESPACES, "l"):
            with contextlib.suppress(CommandFailed):
                command("ip", "netns", "delete", name)

    def activate(self, name):
        """Gives the virtual router's addresses to j or k."""
        ip(_BECOME_ACTIVE, name)
        self.active = name

    def hand_over(self, name):
        """A planned switch: the active router gives the addresses up, the other takes them."""
        ip(_BECOME_PASSIVE, self.active)
        self.activate(name)

    def give_up(self):
        """From here on, somebody else says who has the virtual router's addresses."""
        ip(_BECOME_PASSIVE, self.active)
        self.active = None

    @staticmethod
    def cut_off(name):
        """What the others see when a router loses its power: every link is down, nothing is said."""
        # First the link where VRRP says that the others are down.
        ip(f"link set four-{name} down\nlink set six-{name} down\n", "sw")
        ip("link set sync down\n", name)

    @contextlib.contextmanager
    def without_sync(self):
        """The cable between the routers is pulled: neither has a carrier there meanwhile."""
        ip("link set sync down\n", "j")
        try:
            yield
        finally:
            self.set_up_sync("j")

    def connect(self, name):
        """The opposite."""
        self.set_up_sync(name)
        self.connect_to_hosts(name)
        self.wait_for_links((name,))

    def connect_to_hosts(self, name):
        """The same, but for the link between the routers."""
        ip(f"link set six-{name} up\nlink set four-{name} up\n", "sw")
        self.wait_for_links(("sw",))


def links_down(namespace):
    """Those that are not up yet. One that carries nothing, such as lo, is of no known state."""
    lines = [line.split() for line in command("ip", "-brief", "link", namespace=namespace).splitlines()]
    return [name for name, state, *_ in lines if name != "lo" and state not in ("UP", "UNKNOWN")]


def socket_in(namespace, make):
    """Calls `make` inside a namespace; the socket it returns stays there."""
    with inside(namespace):
        return make()
