#pragma once

#include "options.h"
#include "protocol.h"

/* Who answered the request. */
struct answer {
	char id[ID_LIMIT + 1];
};

/* Opens a socket for requests; the descriptor or a negative errno. */
int open_request(const struct options *options);

/* One request on an open socket; 0, or a negative errno (-ETIMEDOUT, -EBADMSG for an answer that is none). */
int make_request(const struct options *options, int descriptor, uint64_t sequence, struct answer *answer);
