/*
 * Leads a program that speaks generic netlink to the simulated kernel instead.
 *
 * Preloaded (LD_PRELOAD). A socket that asks for NETLINK_GENERIC gets NETLINK_USERSOCK, where a
 * user-space process can take the kernel's place. What the program sends to the kernel (port id 0)
 * goes to SIMULATED_KERNEL, and what comes from there seems to come from 0, so that a program that
 * believes only the kernel still does. Every other socket is left alone.
 *
 * A real kernel handles a generic netlink request inside send(): when it returns, the answer is
 * in the socket. To keep that, each send is followed by a NOOP from a socket of our own; the
 * simulation answers it after everything before it, and we wait for that answer. Set
 * JOOL_SIMULATED_ASYNC in the environment to do without (two system calls fewer per send).
 *
 * No allocation anywhere, and no lock on the way of a message but the one around that NOOP.
 */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <linux/netlink.h>
#include <pthread.h>
#include <stdatomic.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <unistd.h>

/* Descriptors at or above this are not led anywhere: no daemon has so many. */
#define MOST_DESCRIPTORS 4096

/* Answers to NOOPs that came too late are skipped, but not for ever. */
#define MOST_LATE_ANSWERS 64

static int (*real_socket)(int, int, int);
static int (*real_close)(int);
static ssize_t (*real_sendto)(int, const void *, size_t, int, const struct sockaddr *, socklen_t);
static ssize_t (*real_sendmsg)(int, const struct msghdr *, int);
static ssize_t (*real_recvfrom)(int, void *, size_t, int, struct sockaddr *, socklen_t *);
static ssize_t (*real_recvmsg)(int, struct msghdr *, int);
static int (*real_sendmmsg)(int, struct mmsghdr *, unsigned int, int);
static int (*real_recvmmsg)(int, struct mmsghdr *, unsigned int, int, struct timespec *);

static pthread_once_t once = PTHREAD_ONCE_INIT;
static int synchronous;
static _Atomic unsigned char led[MOST_DESCRIPTORS];

static void find(void *function, const char *name)
{
	void *symbol = dlsym(RTLD_NEXT, name);

	if (!symbol)
		abort();
	/* ISO C has no cast from data to function pointers. */
	memcpy(function, &symbol, sizeof(symbol));
}

static void start(void)
{
	find(&real_socket, "socket");
	find(&real_close, "close");
	find(&real_sendto, "sendto");
	find(&real_sendmsg, "sendmsg");
	find(&real_recvfrom, "recvfrom");
	find(&real_recvmsg, "recvmsg");
	find(&real_sendmmsg, "sendmmsg");
	find(&real_recvmmsg, "recvmmsg");
	synchronous = !getenv("JOOL_SIMULATED_ASYNC");
}

/*
 * A test that is killed has no chance to stop its daemons: with JOOL_SIMULATED_LEASH in the
 * environment the kernel does, when the thread that started us ends.
 */
static void __attribute__((constructor)) leash(void)
{
	if (getenv("JOOL_SIMULATED_LEASH"))
		prctl(PR_SET_PDEATHSIG, SIGKILL);
}

static void ready(void)
{
	pthread_once(&once, start);
}

static int is_led(int fd)
{
	return fd >= 0 && fd < MOST_DESCRIPTORS && atomic_load(&led[fd]);
}

static void mark(int fd, int value)
{
	if (fd >= 0 && fd < MOST_DESCRIPTORS)
		atomic_store(&led[fd], (unsigned char)value);
}

static const struct sockaddr_nl kernel = {
	.nl_family = AF_NETLINK,
	.nl_pid = SIMULATED_KERNEL,
};

/* Whether what is sent there is meant for the kernel. No address: an unconnected socket. */
static int to_kernel(const void *address, socklen_t length)
{
	const struct sockaddr_nl *netlink = address;

	if (!address)
		return 1;
	return length >= sizeof(*netlink) && netlink->nl_family == AF_NETLINK &&
	       netlink->nl_pid == 0 && netlink->nl_groups == 0;
}

static void from_kernel(void *address, socklen_t length)
{
	struct sockaddr_nl *netlink = address;

	if (address && length >= sizeof(*netlink) && netlink->nl_family == AF_NETLINK &&
	    netlink->nl_pid == SIMULATED_KERNEL)
		netlink->nl_pid = 0;
}

/* Under the lock: the socket for NOOPs, or -1. Answers that do not come end after two seconds. */
static int noop_socket(void)
{
	static int fd = -1;
	const struct timeval limit = { .tv_sec = 2 };

	if (fd < 0) {
		fd = real_socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_USERSOCK);
		if (fd >= 0)
			setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	}
	return fd;
}

/* Returns when the simulation has handled all that was sent before. */
static void wait_until_handled(void)
{
	static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	static unsigned int last;
	const int before = errno;
	int fd;

	if (!synchronous)
		return;
	pthread_mutex_lock(&lock);
	fd = noop_socket();
	if (fd >= 0) {
		struct nlmsghdr noop = {
			.nlmsg_len = sizeof(noop),
			.nlmsg_type = NLMSG_NOOP,
			.nlmsg_seq = ++last,
		};
		struct nlmsghdr answer = { 0 };
		ssize_t got = real_sendto(fd, &noop, sizeof(noop), 0,
					  (const struct sockaddr *)&kernel, sizeof(kernel));
		int n;

		for (n = 0; got > 0 && n < MOST_LATE_ANSWERS && answer.nlmsg_seq != last; n++) {
			got = real_recvfrom(fd, &answer, sizeof(answer), 0, NULL, NULL);
			/* A signal interrupts this wait, where a real kernel is not to be interrupted. */
			if (got < 0 && errno == EINTR)
				got = 1;
		}
	}
	pthread_mutex_unlock(&lock);
	errno = before;
}

int socket(int domain, int type, int protocol)
{
	int generic = domain == AF_NETLINK && protocol == NETLINK_GENERIC;
	int fd;

	ready();
	fd = real_socket(domain, type, generic ? NETLINK_USERSOCK : protocol);
	mark(fd, generic);
	return fd;
}

int close(int fd)
{
	ready();
	mark(fd, 0);
	return real_close(fd);
}

ssize_t sendto(int fd, const void *bytes, size_t length, int flags, const struct sockaddr *address,
	       socklen_t address_length)
{
	ssize_t sent;

	ready();
	if (!is_led(fd) || !to_kernel(address, address_length))
		return real_sendto(fd, bytes, length, flags, address, address_length);
	sent = real_sendto(fd, bytes, length, flags, (const struct sockaddr *)&kernel,
			   sizeof(kernel));
	if (sent >= 0)
		wait_until_handled();
	return sent;
}

ssize_t send(int fd, const void *bytes, size_t length, int flags)
{
	return sendto(fd, bytes, length, flags, NULL, 0);
}

ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
	struct msghdr copy;
	ssize_t sent;

	ready();
	if (!is_led(fd) || !to_kernel(message->msg_name, message->msg_namelen))
		return real_sendmsg(fd, message, flags);
	copy = *message;
	copy.msg_name = (void *)(unsigned long)&kernel;
	copy.msg_namelen = sizeof(kernel);
	sent = real_sendmsg(fd, &copy, flags);
	if (sent >= 0)
		wait_until_handled();
	return sent;
}

ssize_t write(int fd, const void *bytes, size_t length)
{
	static ssize_t (*_Atomic real_write)(int, const void *, size_t);

	if (is_led(fd))
		return sendto(fd, bytes, length, 0, NULL, 0);
	if (!real_write) {
		ssize_t (*found)(int, const void *, size_t);

		find(&found, "write");
		real_write = found;
	}
	return real_write(fd, bytes, length);
}

int sendmmsg(int fd, struct mmsghdr *messages, unsigned int count, int flags)
{
	unsigned int n;

	ready();
	if (!is_led(fd))
		return real_sendmmsg(fd, messages, count, flags);
	for (n = 0; n < count; n++) {
		ssize_t sent = sendmsg(fd, &messages[n].msg_hdr, flags);

		if (sent < 0)
			return n ? (int)n : -1;
		messages[n].msg_len = (unsigned int)sent;
	}
	return (int)n;
}

ssize_t recvfrom(int fd, void *bytes, size_t length, int flags, struct sockaddr *address,
		 socklen_t *address_length)
{
	ssize_t got;

	ready();
	got = real_recvfrom(fd, bytes, length, flags, address, address_length);
	if (got >= 0 && address && is_led(fd))
		from_kernel(address, *address_length);
	return got;
}

ssize_t __recvfrom_chk(int fd, void *bytes, size_t length, size_t room, int flags,
		       struct sockaddr *address, socklen_t *address_length);

/* What recvfrom() becomes in a program that was built with _FORTIFY_SOURCE. */
ssize_t __recvfrom_chk(int fd, void *bytes, size_t length, size_t room, int flags,
		       struct sockaddr *address, socklen_t *address_length)
{
	if (length > room)
		abort();
	return recvfrom(fd, bytes, length, flags, address, address_length);
}

ssize_t recvmsg(int fd, struct msghdr *message, int flags)
{
	ssize_t got;

	ready();
	got = real_recvmsg(fd, message, flags);
	if (got >= 0 && is_led(fd))
		from_kernel(message->msg_name, message->msg_namelen);
	return got;
}

int recvmmsg(int fd, struct mmsghdr *messages, unsigned int count, int flags,
	     struct timespec *timeout)
{
	int got, n;

	ready();
	got = real_recvmmsg(fd, messages, count, flags, timeout);
	if (is_led(fd))
		for (n = 0; n < got; n++)
			from_kernel(messages[n].msg_hdr.msg_name, messages[n].msg_hdr.msg_namelen);
	return got;
}
