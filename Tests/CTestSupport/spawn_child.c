#include "spawn_child.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <unistd.h>

/* Each pair is the parent's end and the child's end. */
struct ends {
	int input[2], output[2], errors[2], ended[2];
};

static void close_pair(int pair[2])
{
	for (int i = 0; i < 2; i++) {
		if (pair[i] >= 0)
			close(pair[i]);
	}
}

static int open_ends(struct ends *ends)
{
	*ends = (struct ends){{-1, -1}, {-1, -1}, {-1, -1}, {-1, -1}};
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends->input) == 0 &&
	    pipe2(ends->output, O_CLOEXEC) == 0 && pipe2(ends->errors, O_CLOEXEC) == 0 &&
	    pipe2(ends->ended, O_CLOEXEC) == 0)
		return 0;
	return -errno;
}

static void close_ends(struct ends *ends)
{
	close_pair(ends->input);
	close_pair(ends->output);
	close_pair(ends->errors);
	close_pair(ends->ended);
}

static int start(const char *const arguments[], const char *const environment[], const struct ends *ends, int *pid)
{
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;
	sigset_t none, all;
	sigemptyset(&none);
	sigfillset(&all);
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, ends->input[1], 0);
	posix_spawn_file_actions_adddup2(&actions, ends->output[1], 1);
	posix_spawn_file_actions_adddup2(&actions, ends->errors[1], 2);
	posix_spawn_file_actions_addclosefrom_np(&actions, 3);
	posix_spawnattr_init(&attributes);
	posix_spawnattr_setsigmask(&attributes, &none);
	posix_spawnattr_setsigdefault(&attributes, &all);
	posix_spawnattr_setpgroup(&attributes, 0);
	posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
	int error = posix_spawnp(pid, arguments[0], &actions, &attributes, (char *const *)arguments,
				 (char *const *)environment);
	posix_spawn_file_actions_destroy(&actions);
	posix_spawnattr_destroy(&attributes);
	return -error;
}

int spawn_child(const char *const arguments[], const char *const environment[], struct spawned_child *child)
{
	struct ends ends;
	int pid = 0, error = open_ends(&ends);
	if (error == 0)
		error = start(arguments, environment, &ends, &pid);
	if (error != 0) {
		close_ends(&ends);
		return error;
	}
	close(ends.input[1]);
	close(ends.output[1]);
	close(ends.errors[1]);
	*child = (struct spawned_child){pid,	       ends.input[0], ends.output[0], ends.errors[0],
					ends.ended[0], ends.ended[1]};
	return 0;
}
