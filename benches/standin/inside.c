/*
 * A stand-in for Jool's kernel module inside the daemon's own process, as the real one is: a
 * request is carried out within send(), by the thread that sends, and no other process is woken.
 *
 * Preloaded in front of the simulation's shim.so, which leads the daemon's generic netlink sockets
 * to NETLINK_USERSOCK. While the benchmark's file says "active":
 *
 * - The send() of a JOOLD_ACK becomes one send() of the next batch to the daemon's socket, from a
 *   socket of our own whose port id the daemon sees as 0. What netlink does for the acknowledgement
 *   itself (one short copy) is left out, and a user space sender's copy stands for the module's
 *   writing of the batch.
 * - The send() of a JOOLD_ADD is a real one, with all its bytes, to a socket of our own whose
 *   filter drops it: netlink copies it, finds the receiver, and frees it.
 * - Whatever else is sent goes on to the simulated kernel.
 *
 * What cannot be sent does not count: its batches are then both lost and, when the daemon tries
 * again, there twice. One system call of the daemon stays one. What the stand-in adds to the daemon's user time is
 * some 0.1 us a batch (numbering 36 sessions, or looking at 36), the same for every daemon.
 */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <linux/filter.h>
#include <pthread.h>
#include "standin.h"

enum { MOST_DESCRIPTORS = 4096, MOST_AT_ONCE = 64 };

static int (*next_socket)(int, int, int);
static int (*next_close)(int);
static ssize_t (*next_sendto)(int, const void *, size_t, int, const struct sockaddr *, socklen_t);
static ssize_t (*next_sendmsg)(int, const struct msghdr *, int);
static int (*next_sendmmsg)(int, struct mmsghdr *, unsigned int, int);
static ssize_t (*next_recvfrom)(int, void *, size_t, int, struct sockaddr *, socklen_t *);
static ssize_t (*next_recvmsg)(int, struct msghdr *, int);
static int (*next_recvmmsg)(int, struct mmsghdr *, unsigned int, int, struct timespec *);

static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

/* By descriptor: 0 not ours; 1 generic netlink; otherwise its port id. */
static _Atomic uint32_t port_of[MOST_DESCRIPTORS];

static int feeder = -1;
static struct sockaddr_nl feeder_address;
static struct sockaddr_nl sink_address;
static uint8_t batches[MOST_AT_ONCE][LONGEST_BATCH];
static unsigned int written; /* how many of them hold the template */
static uint64_t generation;  /* of that template */

static void find(void *function, const char *name)
{
	void *symbol = dlsym(RTLD_NEXT, name);

	if (!symbol)
		abort();
	/* ISO C has no cast from data to function pointers. */
	memcpy(function, &symbol, sizeof(symbol));
}

/* A socket of our own, which the shim below must not take for the daemon's. */
static int open_own(struct sockaddr_nl *address)
{
	int fd = next_socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_USERSOCK);
	socklen_t length = sizeof(*address);

	memset(address, 0, sizeof(*address));
	address->nl_family = AF_NETLINK;
	if (fd < 0 || bind(fd, (struct sockaddr *)address, sizeof(*address)) ||
	    getsockname(fd, (struct sockaddr *)address, &length))
		abort();
	return fd;
}

static void start(void)
{
	struct sock_filter drop = BPF_STMT(BPF_RET | BPF_K, 0);
	const struct sock_fprog filter = { 1, &drop };
	int sink;

	find(&next_socket, "socket");
	find(&next_close, "close");
	find(&next_sendto, "sendto");
	find(&next_sendmsg, "sendmsg");
	find(&next_sendmmsg, "sendmmsg");
	find(&next_recvfrom, "recvfrom");
	find(&next_recvmsg, "recvmsg");
	find(&next_recvmmsg, "recvmmsg");
	if (map_shared())
		return;
	feeder = open_own(&feeder_address);
	sink = open_own(&sink_address);
	if (setsockopt(sink, SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof(filter)))
		abort();
}

static void ready(void)
{
	pthread_once(&once, start);
}

static int is_modsocket(int fd)
{
	return fd >= 0 && fd < MOST_DESCRIPTORS &&
	       atomic_load_explicit(&port_of[fd], memory_order_relaxed);
}

static int stands_in(int fd)
{
	return is_modsocket(fd) && feeder >= 0 && value(&shared->active);
}

static uint32_t port(int fd)
{
	struct sockaddr_nl address = { 0 };
	socklen_t length = sizeof(address);
	uint32_t known = atomic_load(&port_of[fd]);

	if (known > 1)
		return known;
	if (getsockname(fd, (struct sockaddr *)&address, &length))
		abort();
	atomic_store(&port_of[fd], address.nl_pid);
	return address.nl_pid;
}

/* The daemon's buffer was full: the kernel drops the batch, and says so by ENOBUFS. */
static void overrun(const uint8_t *batch)
{
	const struct sockaddr_nl group = {
		.nl_family = AF_NETLINK,
		.nl_groups = 1u << (shared->group - 1),
	};

	next_sendto(feeder, batch, shared->length, MSG_DONTWAIT, (const struct sockaddr *)&group,
		    sizeof(group));
	count(&shared->overruns, 1);
}

static void give_one(struct sockaddr_nl *to)
{
	if (next_sendto(feeder, batches[0], shared->length, MSG_DONTWAIT, (struct sockaddr *)to,
			sizeof(*to)) < 0)
		overrun(batches[0]);
}

static void give_many(struct sockaddr_nl *to, unsigned int count)
{
	struct mmsghdr messages[MOST_AT_ONCE] = { 0 };
	struct iovec pieces[MOST_AT_ONCE];
	unsigned int n;
	int sent;

	for (n = 0; n < count; n++) {
		pieces[n] = (struct iovec){ batches[n], shared->length };
		messages[n].msg_hdr = (struct msghdr){
			.msg_name = to,
			.msg_namelen = sizeof(*to),
			.msg_iov = &pieces[n],
			.msg_iovlen = 1,
		};
	}
	sent = next_sendmmsg(feeder, messages, count, MSG_DONTWAIT);
	for (n = sent < 0 ? 0 : (unsigned int)sent; n < count; n++)
		overrun(batches[n]);
}

/* Puts the next batches into the daemon's socket, one an acknowledgement. Returns how many. */
static unsigned int release(int fd, uint64_t acks)
{
	struct sockaddr_nl to = { .nl_family = AF_NETLINK, .nl_pid = port(fd) };
	uint64_t next, left;
	unsigned int n, some;

	pthread_mutex_lock(&lock);
	next = value(&shared->given);
	left = value(&shared->total);
	left = left > next ? left - next : 0;
	some = (unsigned int)(acks < left ? acks : left);
	if (some > MOST_AT_ONCE)
		some = MOST_AT_ONCE;
	if (generation != value(&shared->generation)) {
		generation = value(&shared->generation);
		written = 0;
	}
	for (; written < some; written++)
		memcpy(batches[written], shared->template, LONGEST_BATCH);
	for (n = 0; n < some; n++)
		renumber(batches[n], next + n);
	atomic_store_explicit(&shared->given, next + some, memory_order_relaxed);
	if (some == 1)
		give_one(&to);
	else if (some)
		give_many(&to, some);
	pthread_mutex_unlock(&lock);
	return some;
}

/* Whether this send is for the kernel, and not for somebody else. */
static int to_kernel(const void *address)
{
	const struct sockaddr_nl *netlink = address;

	return !address || (netlink->nl_family == AF_NETLINK && !netlink->nl_pid);
}

/* Only acknowledgements: the next batches' copy stands for theirs, unless there are none. */
static int replaced(int fd, const struct found *found)
{
	return !found->adds && found->acks && release(fd, found->acks);
}

/* What was really sent had JOOLD_ADDs in it. */
static void handle(int fd, const struct found *found)
{
	if (found->adds && found->acks)
		release(fd, found->acks);
}

static size_t length_of(const struct msghdr *message)
{
	size_t n, length = 0;

	for (n = 0; n < message->msg_iovlen; n++)
		length += message->msg_iov[n].iov_len;
	return length;
}

int socket(int domain, int type, int protocol)
{
	int fd;

	ready();
	fd = next_socket(domain, type, protocol);
	if (fd >= 0 && fd < MOST_DESCRIPTORS)
		atomic_store(&port_of[fd], domain == AF_NETLINK && protocol == NETLINK_GENERIC);
	return fd;
}

int close(int fd)
{
	ready();
	if (is_modsocket(fd))
		atomic_store(&port_of[fd], 0);
	return next_close(fd);
}

ssize_t sendto(int fd, const void *bytes, size_t length, int flags, const struct sockaddr *address,
	       socklen_t address_length)
{
	const struct iovec piece = { (void *)(uintptr_t)bytes, length };
	struct found found = { 0 };

	ready();
	if (!stands_in(fd) || !to_kernel(address) || !look(&piece, 1, &found))
		return next_sendto(fd, bytes, length, flags, address, address_length);
	if (!replaced(fd, &found)) {
		if (next_sendto(fd, bytes, length, flags, (const struct sockaddr *)&sink_address,
				sizeof(sink_address)) < 0)
			return -1;
		handle(fd, &found);
	}
	note(&found);
	return (ssize_t)length;
}

ssize_t send(int fd, const void *bytes, size_t length, int flags)
{
	return sendto(fd, bytes, length, flags, NULL, 0);
}

ssize_t write(int fd, const void *bytes, size_t length)
{
	static ssize_t (*_Atomic next_write)(int, const void *, size_t);

	if (is_modsocket(fd))
		return sendto(fd, bytes, length, 0, NULL, 0);
	if (!next_write) {
		ssize_t (*found)(int, const void *, size_t);

		find(&found, "write");
		next_write = found;
	}
	return next_write(fd, bytes, length);
}

ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
	struct found found = { 0 };
	struct msghdr copy;

	ready();
	if (!stands_in(fd) || !to_kernel(message->msg_name) ||
	    !look(message->msg_iov, message->msg_iovlen, &found))
		return next_sendmsg(fd, message, flags);
	if (!replaced(fd, &found)) {
		copy = *message;
		copy.msg_name = &sink_address;
		copy.msg_namelen = sizeof(sink_address);
		if (next_sendmsg(fd, &copy, flags) < 0)
			return -1;
		handle(fd, &found);
	}
	note(&found);
	return (ssize_t)length_of(message);
}

/* Copies the messages' headers, led to the sink. Returns whether all are for the stand-in. */
static int lead_to_sink(struct mmsghdr *copies, const struct mmsghdr *messages, unsigned int count,
			struct found *found)
{
	unsigned int n;

	for (n = 0; n < count; n++) {
		const struct msghdr *message = &messages[n].msg_hdr;

		if (!to_kernel(message->msg_name) ||
		    !look(message->msg_iov, message->msg_iovlen, found))
			return 0;
		copies[n] = messages[n];
		copies[n].msg_hdr.msg_name = &sink_address;
		copies[n].msg_hdr.msg_namelen = sizeof(sink_address);
	}
	return 1;
}

/* One system call for all messages if all are for the stand-in. */
int sendmmsg(int fd, struct mmsghdr *messages, unsigned int count, int flags)
{
	struct mmsghdr copies[MOST_AT_ONCE];
	struct found found = { 0 };
	unsigned int n;
	int sent;

	ready();
	if (count > MOST_AT_ONCE)
		count = MOST_AT_ONCE;
	if (!stands_in(fd) || !lead_to_sink(copies, messages, count, &found))
		return next_sendmmsg(fd, messages, count, flags);
	if (!replaced(fd, &found)) {
		sent = next_sendmmsg(fd, copies, count, flags);
		if (sent < (int)count)
			return sent;
		handle(fd, &found);
	}
	for (n = 0; n < count; n++)
		messages[n].msg_len = (unsigned int)length_of(&messages[n].msg_hdr);
	note(&found);
	return (int)count;
}

static void from_kernel(void *address)
{
	struct sockaddr_nl *netlink = address;

	if (netlink && netlink->nl_pid == feeder_address.nl_pid)
		netlink->nl_pid = 0;
}

ssize_t recvfrom(int fd, void *bytes, size_t length, int flags, struct sockaddr *address,
		 socklen_t *address_length)
{
	ssize_t got;

	ready();
	got = next_recvfrom(fd, bytes, length, flags, address, address_length);
	if (got >= 0 && stands_in(fd))
		from_kernel(address);
	return got;
}

ssize_t recvmsg(int fd, struct msghdr *message, int flags)
{
	ssize_t got;

	ready();
	got = next_recvmsg(fd, message, flags);
	if (got >= 0 && stands_in(fd))
		from_kernel(message->msg_name);
	return got;
}

int recvmmsg(int fd, struct mmsghdr *messages, unsigned int count, int flags,
	     struct timespec *timeout)
{
	int got, n;

	ready();
	got = next_recvmmsg(fd, messages, count, flags, timeout);
	if (stands_in(fd))
		for (n = 0; n < got; n++)
			from_kernel(messages[n].msg_hdr.msg_name);
	return got;
}
