#define _GNU_SOURCE
#include "clinux.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/utsname.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#define RESULT(call)                                                                                                   \
	({                                                                                                             \
		__typeof__(call) result_ = (call);                                                                     \
		result_ < 0 ? -errno : result_;                                                                        \
	})

int clinux_open(const char *path, int flags, unsigned int mode)
{
	return RESULT(open(path, flags | O_CLOEXEC, mode));
}

int clinux_close(int fd)
{
	return RESULT(close(fd));
}

int clinux_duplicate(int fd)
{
	return RESULT(fcntl(fd, F_DUPFD_CLOEXEC, 3));
}

int clinux_lock(int fd)
{
	return RESULT(flock(fd, LOCK_EX | LOCK_NB));
}

ssize_t clinux_read(int fd, void *buffer, size_t size)
{
	return RESULT(read(fd, buffer, size));
}

int clinux_unlink(const char *path)
{
	return RESULT(unlink(path));
}

ssize_t clinux_read_link(const char *path, char *buffer, size_t size)
{
	return RESULT(readlink(path, buffer, size));
}

int clinux_mmap(size_t size, int protection, int flags, int fd, off_t offset, void **address)
{
	*address = mmap(NULL, size, protection, flags, fd, offset);
	return *address == MAP_FAILED ? -errno : 0;
}

int clinux_munmap(void *address, size_t size)
{
	return RESULT(munmap(address, size));
}

long clinux_page_size(void)
{
	return sysconf(_SC_PAGESIZE);
}

int clinux_epoll_create(void)
{
	return RESULT(epoll_create1(EPOLL_CLOEXEC));
}

int clinux_epoll_add_readable(int epoll, int fd, uint64_t token)
{
	struct epoll_event event = {.events = EPOLLIN | EPOLLONESHOT, .data.u64 = token};
	return RESULT(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event));
}

int clinux_epoll_remove(int epoll, int fd)
{
	return RESULT(epoll_ctl(epoll, EPOLL_CTL_DEL, fd, NULL));
}

int clinux_epoll_wait(int epoll, uint64_t *tokens, int capacity, int timeout_ms)
{
	struct epoll_event events[64];
	int count = epoll_wait(epoll, events, capacity < 64 ? capacity : 64, timeout_ms);
	if (count < 0)
		return -errno;
	for (int i = 0; i < count; i++)
		tokens[i] = events[i].data.u64;
	return count;
}

int clinux_inotify_create(void)
{
	return RESULT(inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
}

int clinux_inotify_watch(int fd, const char *path, uint32_t mask)
{
	return RESULT(inotify_add_watch(fd, path, mask));
}

int clinux_netlink_route_socket(void)
{
	return RESULT(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE));
}

int clinux_netlink_generic_socket(void)
{
	return RESULT(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_GENERIC));
}

int clinux_netlink_bind(int fd)
{
	struct sockaddr_nl address = {.nl_family = AF_NETLINK};
	return RESULT(bind(fd, (struct sockaddr *)&address, sizeof(address)));
}

int clinux_netlink_join(int fd, int group)
{
	return RESULT(setsockopt(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, sizeof(group)));
}

int clinux_set_receive_buffer(int fd, int bytes)
{
	return RESULT(setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof(bytes)));
}

int clinux_set_receive_timeout(int fd, int seconds)
{
	struct timeval timeout = {.tv_sec = seconds};
	return RESULT(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout)));
}

ssize_t clinux_send(int fd, const void *bytes, size_t size)
{
	return RESULT(send(fd, bytes, size, MSG_NOSIGNAL));
}

ssize_t clinux_receive(int fd, void *buffer, size_t size, int flags)
{
	return RESULT(recv(fd, buffer, size, flags));
}

int clinux_enter_network_namespace(int fd)
{
	return RESULT(setns(fd, CLONE_NEWNET));
}

int clinux_network_namespace_cookie(int fd, uint64_t *cookie)
{
	socklen_t size = sizeof(*cookie);

	return getsockopt(fd, SOL_SOCKET, SO_NETNS_COOKIE, cookie, &size) < 0 ? -errno : 0;
}

int clinux_statfs_type(const char *path, int64_t *type)
{
	struct statfs result;
	if (statfs(path, &result) < 0)
		return -errno;
	*type = result.f_type;
	return 0;
}

int clinux_mount(const char *source, const char *target, const char *type, unsigned long flags, const char *data)
{
	return RESULT(mount(source, target, type, flags, data));
}

int clinux_unmount(const char *target)
{
	return RESULT(umount2(target, MNT_DETACH));
}

int clinux_exchange(const char *one, const char *other)
{
	return RESULT(renameat2(AT_FDCWD, one, AT_FDCWD, other, RENAME_EXCHANGE));
}

int clinux_error_text(int number, char *buffer, size_t size)
{
	char text[256];
	return snprintf(buffer, size, "%s", strerror_r(number, text, sizeof(text)));
}

int clinux_format(char **text, const char *format, va_list arguments)
{
	return RESULT(vasprintf(text, format, arguments));
}

int clinux_kernel_release(char *buffer, size_t size)
{
	struct utsname name;
	if (uname(&name) < 0)
		return -errno;
	return snprintf(buffer, size, "%s", name.release);
}

static int read_clock(clockid_t clock, uint64_t *nanoseconds)
{
	struct timespec time;
	if (clock_gettime(clock, &time) < 0)
		return -errno;
	*nanoseconds = (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
	return 0;
}

int clinux_clock_monotonic(uint64_t *nanoseconds)
{
	return read_clock(CLOCK_MONOTONIC, nanoseconds);
}

int clinux_clock_realtime(uint64_t *nanoseconds)
{
	return read_clock(CLOCK_REALTIME, nanoseconds);
}
