#pragma once

/* A started child and the parent's ends of its streams. */
struct spawned_child {
	int pid;
	int input; /* a socket: writing to a dead child is an error and not a SIGPIPE */
	int output;
	int errors;
	int ended_reader, ended_writer; /* a pipe for the threads that serve the child */
};

/*
 * Starts a program, found along the path, in a process group of its own with clean signals and no inherited
 * descriptors. Returns 0 or a negative errno; Swift's Glibc module has neither pipe2 nor closefrom_np.
 */
int spawn_child(const char *const arguments[], const char *const environment[], struct spawned_child *child);
