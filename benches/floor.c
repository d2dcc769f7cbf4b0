/*
 * The least that does joold's job in the plain way, to measure daemons against: for each batch one
 * recv, one sendto, one send of the acknowledgement; for each datagram one recv, one send. Two
 * threads that block, no poll; no checks, no counters, no statistics, no end.
 *
 * What a daemon reads from files or asks the kernel comes from the environment.
 */

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <linux/genetlink.h>
#include <linux/netlink.h>
#include <net/if.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { HEADERS = NLMSG_HDRLEN + GENL_HDRLEN + 28, CONTAINER = HEADERS + NLA_HDRLEN };

static int modsocket, netsocket;
static uint16_t family;
static struct sockaddr_in6 group = { .sin6_family = AF_INET6 };

static void write_headers(uint8_t *out, uint32_t length, uint8_t command)
{
	const struct nlmsghdr netlink = {
		.nlmsg_len = length,
		.nlmsg_type = family,
		.nlmsg_flags = NLM_F_REQUEST,
	};
	const struct genlmsghdr generic = { .cmd = command, .version = 1 };
	const uint8_t jool[28] = "jool\x04\x01\x0d\0\x02\0\0\0default";

	memcpy(out, &netlink, sizeof(netlink));
	memcpy(out + NLMSG_HDRLEN, &generic, sizeof(generic));
	memcpy(out + NLMSG_HDRLEN + GENL_HDRLEN, jool, sizeof(jool));
}

static void *kernel_to_network(void *unused)
{
	static uint8_t batch[1 << 16], ack[HEADERS];

	write_headers(ack, sizeof(ack), 29);
	for (;;) {
		uint16_t length;

		if (recv(modsocket, batch, sizeof(batch), 0) < CONTAINER)
			continue;
		memcpy(&length, batch + HEADERS, sizeof(length));
		sendto(netsocket, batch + CONTAINER, length - NLA_HDRLEN, 0,
		       (const struct sockaddr *)&group, sizeof(group));
		send(modsocket, ack, sizeof(ack), 0);
	}
	return unused;
}

static void *network_to_kernel(void *unused)
{
	static uint8_t add[1 << 16];

	for (;;) {
		ssize_t got = recv(netsocket, add + CONTAINER, sizeof(add) - CONTAINER, 0);
		const struct nlattr container = {
			.nla_len = (uint16_t)(NLA_HDRLEN + got),
			.nla_type = NLA_F_NESTED | 7,
		};

		if (got <= 0)
			continue;
		write_headers(add, (uint32_t)(CONTAINER + got), 27);
		memcpy(add + HEADERS, &container, sizeof(container));
		send(modsocket, add, (size_t)(CONTAINER + got), 0);
	}
	return unused;
}

static const char *variable(const char *name)
{
	const char *value = getenv(name);

	if (!value) {
		fprintf(stderr, "floor: %s is not in the environment\n", name);
		exit(64);
	}
	return value;
}

static void check(const char *what, int result)
{
	if (result < 0) {
		perror(what);
		exit(71);
	}
}

static void open_modsocket(void)
{
	const struct sockaddr_nl any = { .nl_family = AF_NETLINK };
	const int number = atoi(variable("FLOOR_NETLINK_GROUP"));

	family = (uint16_t)atoi(variable("FLOOR_FAMILY"));
	modsocket = socket(AF_NETLINK, SOCK_RAW, NETLINK_GENERIC);
	check("floor: netlink", modsocket);
	check("floor: bind", bind(modsocket, (const struct sockaddr *)&any, sizeof(any)));
	check("floor: netlink group", setsockopt(modsocket, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP,
						 &number, sizeof(number)));
}

static void open_netsocket(void)
{
	const int on = 1, off = 0, room = 16 << 20;
	struct ipv6_mreq place;
	int index;

	inet_pton(AF_INET6, variable("FLOOR_GROUP"), &group.sin6_addr);
	group.sin6_port = htons((uint16_t)atoi(variable("FLOOR_PORT")));
	index = (int)if_nametoindex(variable("FLOOR_INTERFACE"));
	place.ipv6mr_multiaddr = group.sin6_addr;
	place.ipv6mr_interface = (unsigned int)index;
	netsocket = socket(AF_INET6, SOCK_DGRAM, 0);
	check("floor: UDP", netsocket);
	setsockopt(netsocket, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	setsockopt(netsocket, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof(room));
	setsockopt(netsocket, IPPROTO_IPV6, IPV6_MULTICAST_LOOP, &off, sizeof(off));
	setsockopt(netsocket, IPPROTO_IPV6, IPV6_MULTICAST_IF, &index, sizeof(index));
	check("floor: bind", bind(netsocket, (const struct sockaddr *)&group, sizeof(group)));
	check("floor: group", setsockopt(netsocket, IPPROTO_IPV6, IPV6_JOIN_GROUP, &place,
					 sizeof(place)));
}

int main(void)
{
	pthread_t thread;

	open_netsocket();
	open_modsocket();
	pthread_create(&thread, NULL, network_to_kernel, NULL);
	kernel_to_network(NULL);
}
