#include "mesh.h"
#include "sockets.h"

#include <netinet/in.h>
#include <unistd.h>

/* What each target is asked: by new connections, and by one of each connectionless protocol that lives on. */
static const struct question {
	enum mesh_protocol protocol;
	in_port_t port; /* 0 or 1: the first or the second */
	bool is_held;
} questions[MESH_QUESTIONS] = {
	{MESH_TCP, 0, false},  {MESH_TCP, 1, false},  {MESH_UDP, 0, false}, {MESH_UDP, 1, false},
	{MESH_SCTP, 0, false}, {MESH_SCTP, 1, false}, {MESH_UDP, 0, true},  {MESH_SCTP, 0, true},
};

void mesh_probe_prepare(struct mesh_probe *probe, size_t number, const struct sockaddr_storage *target,
			in_port_t first_port)
{
	const struct question *question = &questions[number];
	probe->is_answered = false;
	if (question->is_held && probe->length != 0)
		return;
	bool is_v4 = target->ss_family == AF_INET;
	*probe = (struct mesh_probe){
		.address = *target,
		.length = is_v4 ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6),
		.protocol = question->protocol,
		.is_held = question->is_held,
		.descriptor = -1,
	};
	((struct sockaddr_in *)&probe->address)->sin_port = htons((in_port_t)(first_port + question->port));
}

void mesh_probe_connect(struct mesh_probe *probe)
{
	int type = probe->protocol == MESH_TCP ? SOCK_STREAM : SOCK_DGRAM;
	probe->descriptor = socket(probe->address.ss_family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (probe->descriptor < 0)
		fail("socket");
	close_with_reset(probe->descriptor);
	connect(probe->descriptor, (const struct sockaddr *)&probe->address, probe->length);
}
