/*
 * Preloaded into a daemon: counts how often it takes memory from the heap, in a file that a test
 * looks at while the daemon runs. What it gives back is not counted.
 *
 * JOOL_SIMULATED_ALLOCATIONS names the file, which has room for one 64-bit number. The functions
 * behind are glibc's own, under the names that it keeps for libraries like this one.
 */

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

void *__libc_malloc(size_t);
void *__libc_calloc(size_t, size_t);
void *__libc_realloc(void *, size_t);
void *__libc_memalign(size_t, size_t);

/* What came before the file was there. */
static _Atomic uint64_t early;
static _Atomic uint64_t *count = &early;

__attribute__((constructor)) static void start(void)
{
	const char *path = getenv("JOOL_SIMULATED_ALLOCATIONS");
	int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
	void *shared;

	if (fd < 0)
		abort();
	shared = mmap(NULL, sizeof(*count), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (shared == MAP_FAILED)
		abort();
	close(fd);
	count = shared;
	atomic_fetch_add(count, early);
}

static void counted(void)
{
	atomic_fetch_add(count, 1);
}

void *malloc(size_t size)
{
	counted();
	return __libc_malloc(size);
}

void *calloc(size_t number, size_t size)
{
	counted();
	return __libc_calloc(number, size);
}

void *realloc(void *old, size_t size)
{
	counted();
	return __libc_realloc(old, size);
}

void *memalign(size_t alignment, size_t size)
{
	counted();
	return __libc_memalign(alignment, size);
}

void *aligned_alloc(size_t alignment, size_t size)
{
	return memalign(alignment, size);
}

int posix_memalign(void **out, size_t alignment, size_t size)
{
	void *memory = memalign(alignment, size);

	if (!memory)
		return ENOMEM;
	*out = memory;
	return 0;
}
