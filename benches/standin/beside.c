/*
 * A stand-in for Jool's kernel module in a process of its own. It ends with the one that started it.
 *
 * It takes the simulated kernel's place (port id SIMULATED_KERNEL), answers each JOOLD_ACK with
 * the next batch, to the module's group, and counts what JOOLD_ADDs bring. What else it is asked
 * has an empty answer. The daemon's send() does not wait for it, so that each batch wakes the
 * daemon up.
 */

#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include "standin.h"

static uint8_t batch[LONGEST_BATCH];
static uint8_t request[1 << 17];
static uint64_t generation; /* of the template in batch */

static void give(int fd)
{
	const struct sockaddr_nl group = {
		.nl_family = AF_NETLINK,
		.nl_groups = 1u << (shared->group - 1),
	};
	const uint64_t number = value(&shared->given);

	if (number >= value(&shared->total))
		return;
	if (generation != value(&shared->generation)) {
		generation = value(&shared->generation);
		memcpy(batch, shared->template, sizeof(batch));
	}
	renumber(batch, number);
	atomic_store_explicit(&shared->given, number + 1, memory_order_relaxed);
	/* Refused by port 0, where nobody is, but delivered to the group. */
	sendto(fd, batch, shared->length, MSG_DONTWAIT, (const struct sockaddr *)&group,
	       sizeof(group));
}

/* Whatever else is asked of the module: an instance that has nothing to tell. */
static void answer(int fd, size_t length, const struct sockaddr_nl *asker)
{
	struct nlmsghdr header;

	if (length < HEADERS)
		return;
	memcpy(&header, request, sizeof(header));
	header.nlmsg_len = HEADERS;
	header.nlmsg_flags = 0;
	memcpy(request, &header, sizeof(header));
	request[NLMSG_HDRLEN] = 0;
	sendto(fd, request, HEADERS, MSG_DONTWAIT, (const struct sockaddr *)asker, sizeof(*asker));
}

int main(void)
{
	const struct sockaddr_nl self = { .nl_family = AF_NETLINK, .nl_pid = SIMULATED_KERNEL };
	const int room = 8 << 20;
	const struct timeval second = { .tv_sec = 1 };
	const pid_t parent = getppid();
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_USERSOCK);

	setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof(room));
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &second, sizeof(second));
	if (map_shared() || fd < 0 || bind(fd, (const struct sockaddr *)&self, sizeof(self))) {
		perror("beside: cannot take the simulated kernel's place");
		return 1;
	}
	for (;;) {
		struct sockaddr_nl asker = { 0 };
		socklen_t size = sizeof(asker);
		ssize_t got = recvfrom(fd, request, sizeof(request), 0, (struct sockaddr *)&asker,
				       &size);
		const struct iovec piece = { request, got > 0 ? (size_t)got : 0 };
		struct found found = { 0 };

		if (got < 0 && errno == ENOBUFS)
			count(&shared->overruns, 1);
		if (got < 0 && getppid() != parent)
			return 0;
		if (!look(&piece, 1, &found)) {
			answer(fd, piece.iov_len, &asker);
			continue;
		}
		note(&found);
		for (; found.acks; found.acks--)
			give(fd);
	}
}
