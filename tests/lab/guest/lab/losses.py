"""Where messages were lost that nobody received: what the sockets' owners see in /proc."""

from .daemon import GROUP_PORT
from .system import inside


def udp_drops(namespace, port=GROUP_PORT):
    """Datagrams that found the receive buffer of a socket on `port` full."""
    return sum(int(columns[-1]) for table in ("udp", "udp6") for columns in _table(namespace, table)
               if columns[1].endswith(f":{port:04X}"))


def netlink_drops(namespace, process):
    """Messages of the kernel that found the receive buffer of the process's netlink sockets full."""
    # The port id of a process's first netlink socket is its process id.
    return sum(int(columns[8]) for columns in _table(namespace, "netlink") if columns[2] == str(process))


def _table(namespace, name):
    with inside(namespace), open(f"/proc/thread-self/net/{name}") as file:
        return [line.split() for line in file.readlines()[1:]]
