#include "modes.h"
#include "sockets.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>

enum { FRAME_LIMIT = 65536 };

static int digit(char character)
{
	if (character >= '0' && character <= '9')
		return character - '0';
	character |= 0x20;
	return character >= 'a' && character <= 'f' ? character - 'a' + 10 : -1;
}

/* The bytes of a line of hex digits; -1 when it is something else. */
static ssize_t decode(const char *line, unsigned char *frame)
{
	size_t digits = strcspn(line, "\r\n");
	if (digits % 2 != 0 || digits / 2 > FRAME_LIMIT)
		return -1;
	for (size_t i = 0; i < digits; i += 2) {
		int high = digit(line[i]), low = digit(line[i + 1]);
		if (high < 0 || low < 0)
			return -1;
		frame[i / 2] = (unsigned char)(high << 4 | low);
	}
	return (ssize_t)(digits / 2);
}

static int packet_socket(const char *interface)
{
	struct sockaddr_ll address = {.sll_family = AF_PACKET, .sll_ifindex = (int)if_nametoindex(interface)};
	int descriptor = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0); /* protocol 0: sends only */
	if (address.sll_ifindex == 0 || descriptor < 0 ||
	    bind(descriptor, (struct sockaddr *)&address, sizeof(address)) < 0)
		fail(interface);
	return descriptor;
}

int run_inject(const struct options *options)
{
	static char line[FRAME_LIMIT * 2 + 3];
	static unsigned char frame[FRAME_LIMIT];
	uint64_t count = 0;
	if (!options->interface) {
		fprintf(stderr, "apus-traffic: inject needs --interface\n");
		return EXIT_USAGE;
	}
	int descriptor = packet_socket(options->interface);
	while (!stopped && fgets(line, sizeof(line), stdin)) {
		ssize_t length = decode(line, frame);
		if (length < 0 || send(descriptor, frame, (size_t)length, 0) != length) {
			fprintf(stderr, "apus-traffic: frame %llu was not sent\n", (unsigned long long)count + 1);
			return EXIT_FAILED;
		}
		count++;
	}
	printf("%llu\n", (unsigned long long)count);
	return EXIT_OK;
}
