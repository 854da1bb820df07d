#pragma once

#include <netinet/in.h>
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
	MESH_QUESTIONS = 8, /* to each target, as a table in mesh_probe.c says */
	MESH_PROBES = MESH_TARGETS * MESH_QUESTIONS,
};

enum mesh_protocol { MESH_TCP, MESH_UDP, MESH_SCTP };

/* One question of a round. */
struct mesh_probe {
	struct sockaddr_storage address; /* whom it asks, port included */
	socklen_t length; /* 0: not asked yet */
	enum mesh_protocol protocol;
	bool is_held; /* asks by the same ports in every round: a connection that lives on */
	int descriptor; /* -1: none; SCTP shares one socket a family */
	uint16_t source_port; /* of SCTP alone, host order */
	bool is_expected, is_answered;
};

/* Makes a probe ready for a round: question `number` to a target. A held one keeps the ports of the round before. */
void mesh_probe_prepare(struct mesh_probe *probe, size_t number, const struct sockaddr_storage *target,
			in_port_t first_port);

/* Begins to connect a socket of TCP or UDP; errors show as an answer that does not come. */
void mesh_probe_connect(struct mesh_probe *probe);

/* Takes a connection and sends it a byte. */
void mesh_serve_tcp(int listener);

/* Answers a datagram with one byte. */
void mesh_serve_udp(int descriptor);

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
