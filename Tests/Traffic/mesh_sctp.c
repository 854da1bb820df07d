#include "mesh.h"
#include "sockets.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/ip.h>
#include <string.h>

/* RFC 9260 §3: the common header, and one chunk of 20 bytes, which INIT and INIT ACK both are without parameters. */
struct sctp_packet {
	uint16_t source_port, destination_port;
	uint32_t verification_tag, checksum;
	uint8_t chunk_type, chunk_flags;
	uint16_t chunk_length;
	uint32_t initiate_tag, window;
	uint16_t outbound_streams, inbound_streams;
	uint32_t initial_number;
};

enum { CHUNK_INIT = 1, CHUNK_INIT_ACK = 2, CHUNK_LENGTH = 20 };

/* CRC32c, as RFC 9260 appendix A has it: the reflected polynomial, bit by bit. */
static uint32_t checksum(const struct sctp_packet *packet)
{
	const uint8_t *bytes = (const uint8_t *)packet;
	uint32_t value = ~0U;
	for (size_t i = 0; i < sizeof(*packet); i++) {
		value ^= bytes[i];
		for (int bit = 0; bit < 8; bit++)
			value = value >> 1 ^ (value & 1 ? 0x82f63b78 : 0);
	}
	return ~value;
}

static struct sctp_packet make_packet(uint8_t chunk, uint16_t source, uint16_t destination, uint32_t tag)
{
	struct sctp_packet packet = {
		.source_port = source,
		.destination_port = destination,
		.verification_tag = tag,
		.chunk_type = chunk,
		.chunk_length = htons(CHUNK_LENGTH),
		.initiate_tag = htonl(1),
		.window = htonl(65535),
		.outbound_streams = htons(1),
		.inbound_streams = htons(1),
	};
	packet.checksum = checksum(&packet); /* in the order of the bytes of the reflected CRC: little-endian */
	return packet;
}

void mesh_sctp_open(struct mesh_sctp *sctp)
{
	sctp->v4 = socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_SCTP);
	sctp->v6 = socket(AF_INET6, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_SCTP);
	if (sctp->v4 < 0 || sctp->v6 < 0)
		fail("raw socket");
}

/* A raw socket of IPv6 takes no port in an address. */
static void send_packet(int descriptor, struct sockaddr_storage to, socklen_t length, const struct sctp_packet *packet)
{
	((struct sockaddr_in *)&to)->sin_port = 0;
	sendto(descriptor, packet, sizeof(*packet), MSG_NOSIGNAL, (const struct sockaddr *)&to, length);
}

void mesh_sctp_ask(const struct mesh_sctp *sctp, const struct mesh_probe *probe)
{
	uint16_t port = ((const struct sockaddr_in *)&probe->address)->sin_port;
	struct sctp_packet packet = make_packet(CHUNK_INIT, htons(probe->source_port), port, 0);
	send_packet(probe->address.ss_family == AF_INET ? sctp->v4 : sctp->v6, probe->address, probe->length, &packet);
}

/* An IPv4 packet arrives with its header, an IPv6 one without. */
static bool read_packet(const uint8_t *bytes, ssize_t count, bool is_v4, struct sctp_packet *packet)
{
	size_t header = is_v4 && count > 0 ? (size_t)(bytes[0] & 15) * 4 : 0;
	if (count < 0 || (size_t)count < header + sizeof(*packet))
		return false;
	memcpy(packet, bytes + header, sizeof(*packet));
	uint32_t written = packet->checksum;
	packet->checksum = 0;
	return checksum(packet) == written;
}

uint16_t mesh_sctp_receive(int descriptor, uint16_t first_port)
{
	uint8_t bytes[256];
	struct sctp_packet packet;
	struct sockaddr_storage sender = {0};
	socklen_t length = sizeof(sender);
	ssize_t count = recvfrom(descriptor, bytes, sizeof(bytes), 0, (struct sockaddr *)&sender, &length);
	if (!read_packet(bytes, count, sender.ss_family == AF_INET, &packet))
		return 0;
	uint16_t port = ntohs(packet.destination_port);
	if (packet.chunk_type == CHUNK_INIT_ACK)
		return port;
	if (packet.chunk_type != CHUNK_INIT || port < first_port || port >= first_port + MESH_PORTS)
		return 0;
	struct sctp_packet reply =
		make_packet(CHUNK_INIT_ACK, packet.destination_port, packet.source_port, packet.initiate_tag);
	send_packet(descriptor, sender, length, &reply);
	return 0;
}
