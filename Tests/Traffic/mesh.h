#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

/*
 * One member of a mesh: it serves two ports of TCP, UDP and SCTP, and on command asks all of them of every member.
 */
enum {
	MESH_PORTS = 2,
	MESH_TARGETS = 64,
	MESH_PROBES = MESH_TARGETS * 3 * MESH_PORTS,
};

enum mesh_protocol { MESH_TCP, MESH_UDP, MESH_SCTP };

/* One question of a round. */
struct mesh_probe {
	struct sockaddr_storage address; /* whom it asks, port included */
	socklen_t length;
	enum mesh_protocol protocol;
	int descriptor; /* -1: none; SCTP shares one socket a family */
	uint16_t source_port; /* of SCTP alone, host order */
	bool is_expected, is_answered;
};

/* The raw sockets that stand for an SCTP stack, which a kernel may lack; one for each family. */
struct mesh_sctp {
	int v4, v6;
};

/* Opens the raw sockets; ends the process where that fails. */
void mesh_sctp_open(struct mesh_sctp *sctp);

/* Sends the INIT chunk that opens an association. */
void mesh_sctp_ask(const struct mesh_sctp *sctp, const struct mesh_probe *probe);

/* Takes a packet in: answers an INIT to one of the ports, and returns the port that an INIT ACK is for, else 0. */
uint16_t mesh_sctp_receive(int descriptor, uint16_t first_port);
