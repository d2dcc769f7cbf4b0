"""What Jool's kernel module speaks, byte by byte: generic netlink without a library.

Attributes are in host byte order; Jool's own header is 28 bytes: magic, version, translator, flags, two
reserved bytes, and the instance's name in 16.
"""

import os
import select
import socket
import struct

from .jool import module_version
from .network import destination
from .system import inside

NETLINK_GENERIC = 16
SOL_NETLINK = 270
NETLINK_ADD_MEMBERSHIP = 1

GENL_ID_CTRL = 16
CTRL_CMD_GETFAMILY = 3
CTRL_ATTR_FAMILY_ID = 1
CTRL_ATTR_FAMILY_NAME = 2
CTRL_ATTR_MCAST_GROUPS = 7
CTRL_ATTR_MCAST_GRP_NAME = 1
CTRL_ATTR_MCAST_GRP_ID = 2

NLM_F_REQUEST = 1
NLMSG_ERROR = 2
NLA_F_NESTED = 0x8000
NLA_TYPE_MASK = 0x3FFF

STATS_FOREACH, GLOBAL_FOREACH, SESSION_FOREACH = 7, 8, 25
JOOLD_ADD, JOOLD_ADVERTISE, JOOLD_ACK = 27, 28, 29
SESSION_ENTRIES, OFFSET, OFFSET_U8, PROTO = 7, 8, 9, 11

MAGIC = b"jool"
# Only major and minor have to agree with the module's.
VERSION = (4, 1, 13, 0)
NAT64 = 2
HEADERS = 16 + 4 + 28
SESSION_BYTES = 40
# The module that writes sessions in so many bytes; those before write 140, and nest their attributes.
FLAT_SINCE = (4, 1, 12)


def attribute(kind, payload, nested=False):
    whole = struct.pack("=HH", 4 + len(payload), kind | (NLA_F_NESTED if nested else 0)) + payload
    return whole + bytes(-len(whole) % 4)


def each_attribute(data):
    """The attributes in `data`, in order, as (type with flags, payload)."""
    while len(data) >= 4:
        length, kind = struct.unpack_from("=HH", data)
        if length < 4 or length > len(data):
            break
        yield kind, data[4:length]
        data = data[length + (-length % 4):]


def attributes(data):
    """The attributes in `data` as {type without flags: payload}; a repeated type keeps the last."""
    return {kind & NLA_TYPE_MASK: payload for kind, payload in each_attribute(data)}


def jool_header(instance="default", magic=MAGIC, version=VERSION, flags=0):
    return struct.pack("=4s4sBBxx16s", magic, bytes(version), NAT64, flags, instance.encode())


def session(src6, src4, dst4, expiration_ms, protocol, state=0, timer=0):
    """One session as the module and the daemons write it; the addresses are (address, port) pairs."""
    if module_version() < FLAT_SINCE:
        return _nested_session(src6, src4, dst4, expiration_ms, (protocol, state, timer))
    body = (socket.inet_pton(socket.AF_INET6, src6[0]) + socket.inet_aton(src4[0]) + socket.inet_aton(dst4[0])
            + struct.pack("!IHHHH", expiration_ms, src6[1], src4[1], dst4[1],
                          protocol << 5 | state << 2 | timer))
    return attribute(1, body)


def _nested_session(src6, src4, dst4, expiration_ms, numbers):
    dst6 = (destination(dst4[0]), dst4[1])
    body = b"".join(_nested_address(kind, *one) for kind, one in enumerate((src6, dst6, src4, dst4), start=1))
    body += b"".join(attribute(kind, bytes([number])) for kind, number in enumerate(numbers, start=5))
    return attribute(1, body + attribute(8, struct.pack("=I", expiration_ms)), nested=True)


def _nested_address(kind, address, port):
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    inner = attribute(1, socket.inet_pton(family, address)) + attribute(2, struct.pack("=H", port))
    return attribute(kind, inner, nested=True)


class Link:
    """A generic netlink socket in a namespace, bound to Jool's family."""

    def __init__(self, namespace, unprivileged=False):
        self.namespace = namespace
        with inside(namespace):
            self.socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_GENERIC)
        self.socket.bind((0, 0))
        self.socket.settimeout(10)
        self.unprivileged = unprivileged
        self.sequence = 0x1000
        self.family_answer = self.ask(GENL_ID_CTRL, struct.pack("=BBH", CTRL_CMD_GETFAMILY, 1, 0)
                                      + attribute(CTRL_ATTR_FAMILY_NAME, b"Jool\0"))
        family = attributes(self.family_answer[20:])
        self.family = struct.unpack("=H", family[CTRL_ATTR_FAMILY_ID])[0]
        self.group = next(struct.unpack("=I", group[CTRL_ATTR_MCAST_GRP_ID])[0]
                          for group in map(attributes, attributes(family[CTRL_ATTR_MCAST_GROUPS]).values())
                          if group[CTRL_ATTR_MCAST_GRP_NAME] == b"joold\0")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def join(self):
        self.socket.setsockopt(SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, self.group)

    def send(self, kind, payload, flags=NLM_F_REQUEST, times=1):
        """Sends one message, and returns it. So many `times`: in one send(), one behind the other."""
        self.sequence += 1
        message = struct.pack("=IHHII", 16 + len(payload), kind, flags, self.sequence, 0) + payload
        # Jool looks for the instance in the sender's namespace, whatever the socket's is.
        with inside(self.namespace):
            if self.unprivileged:
                os.seteuid(65534)
            try:
                self.socket.send(message * times)
            finally:
                if self.unprivileged:
                    os.seteuid(0)
        return message

    def receive(self):
        return self.socket.recv(65536)

    def waiting(self):
        """A message that is there already, or None."""
        ready, _, _ = select.select([self.socket], [], [], 0)
        return self.receive() if ready else None

    def ask(self, kind, payload):
        self.send(kind, payload)
        return self.receive()

    def jool(self, command, payload=b"", flags=NLM_F_REQUEST, times=1, **header):
        """Sends a command to the module, and returns the message sent."""
        return self.send(self.family, struct.pack("=BBH", command, 1, 0) + jool_header(**header) + payload, flags,
                         times)
