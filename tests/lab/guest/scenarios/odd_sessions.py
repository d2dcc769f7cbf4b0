"""our daemon: whatever J's kernel makes a session of, however odd its addresses and ports, K takes"""

import ipaddress
import socket
import struct

from lab.network import HOST6
from lab.system import inside

DAEMONS = "ours"

UDP = 17
PREFIX = int(ipaddress.IPv6Address("64:ff9b::"))
SOURCES = (HOST6, "fe80::5", "::", "::1", "ff02::1", "fec0::1", "::ffff:192.0.2.7", "64:ff9b::192.0.2.7")
DESTINATIONS = ("0.0.0.0", "0.1.2.3", "10.0.0.1", "127.0.0.1", "169.254.1.1", "192.0.2.1", "224.0.0.1",
                "239.255.255.255", "240.0.0.1", "255.255.255.255", "198.18.0.1")
PORTS = (0, 1, 65535)


def run(stage):
    stage.family = "ipv6"
    stage.add_instances()
    _, at_k = stage.start_pair()
    with inside("h6"):
        raw = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_RAW)
    with raw:
        for source in SOURCES:
            send(raw, source, 4000, "198.18.0.1", 5000)
        for destination in DESTINATIONS:
            send(raw, HOST6, 4001, destination, 5000)
        for port in PORTS:
            send(raw, HOST6, port, "198.18.0.1", 5001)
            send(raw, HOST6, 4002, "198.18.0.1", port)
    print("J:\n" + stage.j.tables())
    stage.check_same_tables(stage.j, stage.k, "of odd packets", protocols=("udp",))
    stage.check("K's daemon has refused none", "dropped" not in at_k.log(), "no refusal", at_k.log())


def send(raw, source, source_port, destination, destination_port):
    to = ipaddress.IPv6Address(PREFIX | int(ipaddress.IPv4Address(destination)))
    packed = [ipaddress.IPv6Address(source).packed, to.packed]
    payload = b"odd!"
    length = 8 + len(payload)
    udp = struct.pack(">HHHH", source_port, destination_port, length, 0) + payload
    udp = udp[:6] + struct.pack(">H", checksum(b"".join(packed) + struct.pack(">II", length, UDP) + udp)) + udp[8:]
    raw.sendto(struct.pack(">IHBB", 6 << 28, length, UDP, 64) + b"".join(packed) + udp, (str(to), 0))


def checksum(data):
    total = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff or 0xffff
