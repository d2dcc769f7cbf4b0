"""The module's session table as SESSION_FOREACH tells it, a page at a time."""

import collections
import socket
import struct

from .genl import HEADERS, NLA_F_NESTED, OFFSET, PROTO, SESSION_FOREACH, attribute, attributes, each_attribute

ERROR, MORE = 1, 8
SRC6, DST6, SRC4, DST4, PROTOCOL, STATE, TIMER, EXPIRATION = range(1, 9)
ADDRESS, PORT = 1, 2

# `form` is what the attribute looks like: (type with flags, length of payload, types of its children with flags).
Entry = collections.namedtuple("Entry", "src6 dst6 src4 dst4 protocol state timer expiration form")
Page = collections.namedtuple("Page", "entries more header")


class Refused(Exception):
    """The module's (code, text)."""


def page(link, protocol, after=None, **header):
    """One page of a protocol's sessions; `after` is (src4, dst4), each an (address, port) or None."""
    payload = b"" if protocol is None else attribute(PROTO, struct.pack("=B", protocol))
    if after is not None:
        addresses = zip((SRC4, DST4), after)
        payload += attribute(OFFSET, b"".join(_address(number, *one) for number, one in addresses if one), nested=True)
    link.jool(SESSION_FOREACH, payload, **header)
    answer = link.receive()
    flags = answer[16 + 4 + 9]
    if flags & ERROR:
        found = attributes(answer[HEADERS:])
        raise Refused(struct.unpack("=H", found[1])[0], found[2].rstrip(b"\0").decode())
    entries = [_entry(kind, body) for kind, body in each_attribute(answer[HEADERS:])]
    return Page(entries, bool(flags & MORE), answer[16:HEADERS])


def place(entry):
    return entry.src4, entry.dst4


def all_pages(link, protocol):
    pages = [page(link, protocol)]
    while pages[-1].more:
        pages.append(page(link, protocol, place(pages[-1].entries[-1])))
    return pages


def _address(number, address, port):
    inside = attribute(ADDRESS, socket.inet_aton(address)) + attribute(PORT, struct.pack("=H", port))
    return attribute(number, inside, nested=True)


def _entry(kind, body):
    children = attributes(body)
    form = (kind, len(body), tuple(child for child, _ in each_attribute(body)))
    addresses = [_parsed(children[number]) for number in (SRC6, DST6, SRC4, DST4)]
    numbers = [children[number][0] for number in (PROTOCOL, STATE, TIMER)]
    return Entry(*addresses, *numbers, struct.unpack("=I", children[EXPIRATION])[0], form)


def _parsed(body):
    inside = attributes(body)
    family = socket.AF_INET if len(inside[ADDRESS]) == 4 else socket.AF_INET6
    return socket.inet_ntop(family, inside[ADDRESS]), struct.unpack("=H", inside[PORT])[0]


FORM = (NLA_F_NESTED | 1, 136, tuple(NLA_F_NESTED | number for number in (SRC6, DST6, SRC4, DST4))
        + (PROTOCOL, STATE, TIMER, EXPIRATION))
