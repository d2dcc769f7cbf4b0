/*
 * What both stand-ins for Jool's kernel module share: the file through which the benchmark gives
 * orders and reads counters, the batches that are given out, and a look at what comes back.
 *
 * A batch is a template whose sessions get its number: in the last four bytes of the IPv6 source,
 * and in the IPv4 destination, so that all sessions of a run differ whatever they are keyed by.
 * A session's place in its batch is its IPv6 port, counted from FIRST_PORT.
 */

#ifndef STANDIN_H
#define STANDIN_H

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/genetlink.h>
#include <linux/netlink.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum {
	LONGEST_BATCH = 2048,
	/* Batches that are told apart: later ones are taken for repetitions of the first. */
	NUMBERS = 1 << 22,
	STAMPS = 1 << 16,
	FIRST_PORT = 40000,

	HEADERS = NLMSG_HDRLEN + GENL_HDRLEN + 28, /* with Jool's own */
	SESSION = 40,
	SESSION_NUMBER = 16,
	SESSION_DESTINATION = 24,
	SESSION_PORT = 32,

	JOOLD_ADD = 27,
	JOOLD_ACK = 29,
	SESSION_ENTRIES = 7,
};

/* The file. benches/compare/standin.rs knows the same offsets. */
struct shared {
	/* Orders. */
	_Atomic uint64_t active; /* 1: the stand-in answers; 0: it keeps out of the way */
	_Atomic uint64_t total;	 /* numbers below this are given out */
	_Atomic uint64_t stamp;	 /* 1: keep each batch's time of arrival */
	uint64_t group;		 /* the module's multicast group */
	uint64_t length;	 /* of the template */
	uint64_t sessions;	 /* in the template */
	_Atomic uint64_t generation; /* another one with each template */
	uint64_t unused;
	/* Counters of the sending side. */
	_Atomic uint64_t given;	   /* the next batch's number */
	_Atomic uint64_t acks;	   /* JOOLD_ACKs */
	_Atomic uint64_t overruns; /* batches that found the daemon's buffer full */
	_Atomic uint64_t unused2[5];
	/* Counters of the receiving side. */
	_Atomic uint64_t adds;		/* JOOLD_ADDs */
	_Atomic uint64_t got_sessions;	/* sessions in them */
	_Atomic uint64_t got_bytes;	/* netlink messages' bytes */
	_Atomic uint64_t got_batches;	/* first sessions of batches, each number once */
	_Atomic uint64_t repeated;	/* first sessions that were there before */
	_Atomic uint64_t strange;	/* sessions and messages that no stand-in made */
	_Atomic uint64_t unused3[2];
	uint8_t template[LONGEST_BATCH];
	uint8_t seen[NUMBERS / 8];
	uint64_t stamps[STAMPS]; /* CLOCK_MONOTONIC, nanoseconds */
};

static struct shared *shared;

/* Maps the file that the environment names. Without one there is nothing to stand in for. */
static inline int map_shared(void)
{
	const char *path = getenv("JOOL_BENCH_SHARED");
	int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
	void *mapped;

	if (fd < 0)
		return -1;
	/* The descriptor stays: in the library, close() would wait for what is going on here. */
	mapped = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (mapped == MAP_FAILED)
		return -1;
	shared = mapped;
	return 0;
}

static inline uint64_t value(_Atomic uint64_t *counter)
{
	return atomic_load_explicit(counter, memory_order_relaxed);
}

static inline void count(_Atomic uint64_t *counter, uint64_t more)
{
	if (more)
		atomic_fetch_add_explicit(counter, more, memory_order_relaxed);
}

/* Makes a copy of the template batch number `number`. */
static inline void renumber(uint8_t *batch, uint64_t number)
{
	const uint32_t source = htonl((uint32_t)number);
	const uint32_t destination = htonl(0x0a000000 | ((uint32_t)number & 0xffffff));
	uint8_t *session = batch + HEADERS + NLA_HDRLEN;
	uint64_t n;

	for (n = 0; n < shared->sessions; n++, session += SESSION) {
		memcpy(session + SESSION_NUMBER, &source, sizeof(source));
		memcpy(session + SESSION_DESTINATION, &destination, sizeof(destination));
	}
}

/* What somebody has sent, which may lie in pieces. */
struct cursor {
	const struct iovec *pieces;
	size_t count;
	size_t at; /* in the first of them */
};

/* The next bytes, in one piece: where they lie, or copied to `room`. NULL: so many are not left. */
static inline const uint8_t *take(struct cursor *cursor, size_t length, uint8_t *room)
{
	size_t copied = 0;

	while (cursor->count && cursor->at == cursor->pieces->iov_len) {
		cursor->pieces++;
		cursor->count--;
		cursor->at = 0;
	}
	if (!cursor->count)
		return NULL;
	if (cursor->pieces->iov_len - cursor->at >= length) {
		const uint8_t *bytes = (const uint8_t *)cursor->pieces->iov_base + cursor->at;

		cursor->at += length;
		return bytes;
	}
	while (copied < length && cursor->count) {
		size_t left = cursor->pieces->iov_len - cursor->at;
		size_t part = left < length - copied ? left : length - copied;

		if (room)
			memcpy(room + copied, (const uint8_t *)cursor->pieces->iov_base + cursor->at,
			       part);
		copied += part;
		cursor->at += part;
		if (cursor->at == cursor->pieces->iov_len) {
			cursor->pieces++;
			cursor->count--;
			cursor->at = 0;
		}
	}
	/* Without room it is a skip, and the last message's padding may be missing. */
	return copied == length ? room : NULL;
}

static inline void skip(struct cursor *cursor, size_t length)
{
	if (length)
		take(cursor, length, NULL);
}

/* What was found in one send. */
struct found {
	uint64_t acks, adds, sessions, bytes, batches, repeated, strange;
};

static inline uint64_t nanoseconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* A batch is there when its first session is. */
static inline void note_session(const uint8_t *session, struct found *found)
{
	uint32_t number;
	uint16_t port;

	found->sessions++;
	memcpy(&port, session + SESSION_PORT, sizeof(port));
	if (port != htons(FIRST_PORT))
		return;
	memcpy(&number, session + SESSION_NUMBER, sizeof(number));
	number = ntohl(number);
	if (shared->seen[number % NUMBERS / 8] & 1 << number % 8) {
		found->repeated++;
		return;
	}
	shared->seen[number % NUMBERS / 8] |= (uint8_t)(1 << number % 8);
	found->batches++;
	if (value(&shared->stamp))
		shared->stamps[number % STAMPS] = nanoseconds();
}

/* The sessions of a JOOLD_ADD, as the module walks them: until a length of 0. */
static inline void walk(struct cursor *cursor, size_t length, struct found *found)
{
	uint8_t room[SESSION];
	const uint8_t *container = take(cursor, NLA_HDRLEN, room);
	struct nlattr header;

	if (!container)
		return;
	memcpy(&header, container, sizeof(header));
	if ((header.nla_type & NLA_TYPE_MASK) != SESSION_ENTRIES || header.nla_len > length) {
		found->strange++;
		skip(cursor, length - NLA_HDRLEN);
		return;
	}
	length -= NLA_HDRLEN;
	while (length >= SESSION) {
		const uint8_t *session = take(cursor, SESSION, room);

		length -= SESSION;
		if (!session)
			return;
		memcpy(&header, session, sizeof(header));
		if (header.nla_len == 0)
			break;
		if (header.nla_len == SESSION)
			note_session(session, found);
		else
			found->strange++;
	}
	skip(cursor, length);
}

/* Looks through one send. Returns whether it holds only messages of Jool's daemon. */
static inline int look(const struct iovec *pieces, size_t count, struct found *found)
{
	struct cursor cursor = { pieces, count, 0 };
	uint8_t room[HEADERS];
	const uint8_t *headers;

	while ((headers = take(&cursor, HEADERS, room))) {
		uint32_t length;

		memcpy(&length, headers, sizeof(length));
		if (length < HEADERS || memcmp(headers + NLMSG_HDRLEN + GENL_HDRLEN, "jool", 4))
			return 0;
		found->bytes += length;
		if (headers[NLMSG_HDRLEN] == JOOLD_ADD) {
			found->adds++;
			walk(&cursor, length - HEADERS, found);
			skip(&cursor, NLMSG_ALIGN(length) - length);
		} else if (headers[NLMSG_HDRLEN] == JOOLD_ACK) {
			found->acks++;
			skip(&cursor, NLMSG_ALIGN(length) - HEADERS);
		} else {
			return 0;
		}
	}
	return found->adds || found->acks;
}

static inline void note(const struct found *found)
{
	count(&shared->acks, found->acks);
	count(&shared->adds, found->adds);
	count(&shared->got_sessions, found->sessions);
	count(&shared->got_bytes, found->adds ? found->bytes : 0);
	count(&shared->got_batches, found->batches);
	count(&shared->repeated, found->repeated);
	count(&shared->strange, found->strange);
}

#endif
