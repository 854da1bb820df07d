/* What Glibc's Swift module hides. Every function returns a non-negative result or -errno, and decides nothing. */
#pragma once

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Descriptors */
int clinux_open(const char *path, int flags, unsigned int mode);
int clinux_close(int fd);
int clinux_duplicate(int fd);
/* -EWOULDBLOCK: somebody else has the lock. */
int clinux_lock(int fd);
ssize_t clinux_read(int fd, void *buffer, size_t size);
int clinux_unlink(const char *path);
ssize_t clinux_read_link(const char *path, char *buffer, size_t size);

/* Memory: the address goes to *address. */
int clinux_mmap(size_t size, int protection, int flags, int fd, off_t offset, void **address);
int clinux_munmap(void *address, size_t size);
long clinux_page_size(void);

/* Readiness: one-shot, level-triggered read interest that reports `token`. */
int clinux_epoll_create(void);
int clinux_epoll_add_readable(int epoll, int fd, uint64_t token);
int clinux_epoll_remove(int epoll, int fd);
int clinux_epoll_wait(int epoll, uint64_t *tokens, int capacity, int timeout_ms);

/* Directories */
int clinux_inotify_create(void);
int clinux_inotify_watch(int fd, const char *path, uint32_t mask);

/* Sockets */
int clinux_netlink_route_socket(void);
int clinux_netlink_generic_socket(void);
int clinux_netlink_bind(int fd);
int clinux_netlink_join(int fd, int group);
int clinux_set_receive_buffer(int fd, int bytes);
int clinux_set_receive_timeout(int fd, int seconds);
ssize_t clinux_send(int fd, const void *bytes, size_t size);
ssize_t clinux_receive(int fd, void *buffer, size_t size, int flags);

/* Namespaces: of the calling thread. */
int clinux_enter_network_namespace(int fd);
/* The kernel's number of a socket's namespace. */
int clinux_network_namespace_cookie(int fd, uint64_t *cookie);

/* File systems */
int clinux_statfs_type(const char *path, int64_t *type);
int clinux_mount(const char *source, const char *target, const char *type, unsigned long flags, const char *data);

int clinux_unmount(const char *target);
/* Has two paths change places. */
int clinux_exchange(const char *one, const char *other);

/* The text of an error number; returns its length. */
int clinux_error_text(int number, char *buffer, size_t size);

/* printf into memory that the caller frees; returns the length. */
int clinux_format(char **text, const char *format, va_list arguments);

/* Kernel identity and clocks, in nanoseconds. */
int clinux_kernel_release(char *buffer, size_t size);
int clinux_clock_monotonic(uint64_t *nanoseconds);
int clinux_clock_realtime(uint64_t *nanoseconds);

/* Words of memory that is shared with the kernel. */
static inline uint64_t clinux_load_acquire_u64(const void *address)
{
	return __atomic_load_n((const uint64_t *)address, __ATOMIC_ACQUIRE);
}

static inline uint32_t clinux_load_acquire_u32(const void *address)
{
	return __atomic_load_n((const uint32_t *)address, __ATOMIC_ACQUIRE);
}

static inline void clinux_store_release_u64(void *address, uint64_t value)
{
	__atomic_store_n((uint64_t *)address, value, __ATOMIC_RELEASE);
}

/* Orders loads before it against loads after it, as the second half of a copy-then-check. */
static inline void clinux_fence_acquire(void)
{
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
}
