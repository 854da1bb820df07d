#include "options.h"

#include <arpa/inet.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct option long_options[] = {
	{"id", required_argument, NULL, 'i'},
	{"listen", required_argument, NULL, 'l'},
	{"port", required_argument, NULL, 'p'},
	{"target-port", required_argument, NULL, 'q'},
	{"udp", no_argument, NULL, 'u'},
	{"tcp", no_argument, NULL, 't'},
	{"timeout-ms", required_argument, NULL, 'T'},
	{"interval-ms", required_argument, NULL, 'I'},
	{"seconds", required_argument, NULL, 's'},
	{"warmup", required_argument, NULL, 'w'},
	{"count", required_argument, NULL, 'n'},
	{"first", required_argument, NULL, 'F'},
	{"rate", required_argument, NULL, 'r'},
	{"size", required_argument, NULL, 'b'},
	{"cpu", required_argument, NULL, 'c'},
	{"congestion", required_argument, NULL, 'C'},
	{"ports", required_argument, NULL, 'P'},
	{"interface", required_argument, NULL, 'f'},
	{"close", required_argument, NULL, 'x'},
	{"hold", no_argument, NULL, 'h'},
	{"http", no_argument, NULL, 'H'},
	{"serial", no_argument, NULL, 'S'},
	{"unconnected", no_argument, NULL, 'U'},
	{"json", no_argument, NULL, 'j'},
	{"peer-name", no_argument, NULL, 'N'},
	{"same-name", no_argument, NULL, 'M'},
	{"then", required_argument, NULL, 'A'},
	{"pool", required_argument, NULL, 'o'},
	{"lifetime", required_argument, NULL, 'L'},
	{"log", no_argument, NULL, 'G'},
	{"next-port", no_argument, NULL, 'O'},
	{NULL, 0, NULL, 0},
};

[[noreturn]] static void reject(const char *what, const char *value)
{
	fprintf(stderr, "apus-traffic: %s '%s'\n", what, value);
	exit(EXIT_USAGE);
}

static double number(const char *text, double low, double high)
{
	char *end;
	double value = strtod(text, &end);
	if (end == text || *end != '\0' || !(value >= low && value <= high))
		reject("not a number in range:", text);
	return value;
}

/* Returns the length of what it wrote to `address`. */
static socklen_t read_address(struct sockaddr_storage *address, const char *text)
{
	struct sockaddr_in *v4 = (struct sockaddr_in *)address;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)address;
	memset(address, 0, sizeof(*address));
	if (inet_pton(AF_INET, text, &v4->sin_addr) == 1) {
		v4->sin_family = AF_INET;
		return sizeof(*v4);
	}
	if (inet_pton(AF_INET6, text, &v6->sin6_addr) == 1) {
		v6->sin6_family = AF_INET6;
		return sizeof(*v6);
	}
	reject("not an IP address:", text);
}

static void set_address(struct options *options, const char *text)
{
	options->address_length = read_address(&options->address, text);
}

/* The port is at the same place in both families' addresses. */
static void place_ports(struct options *options)
{
	((struct sockaddr_in *)&options->address)->sin_port = htons(options->port);
	((struct sockaddr_in *)&options->next_address)->sin_port = htons(options->target_port);
}

static void set_ports(struct options *options, const char *text)
{
	int used = 0;
	if (sscanf(text, "%5u-%5u%n", &options->first_port, &options->last_port, &used) != 2 || text[used] != '\0' ||
	    options->first_port == 0 || options->last_port > 65535 || options->first_port > options->last_port)
		reject("not a range of ports:", text);
}

static void set_close(struct options *options, const char *text)
{
	options->server_closes = strcmp(text, "server") == 0;
	if (!options->server_closes && strcmp(text, "reset") != 0)
		reject("--close takes reset or server, not", text);
}

static void set_number(struct options *options, int option)
{
	switch (option) {
	case 'p':
		options->port = (in_port_t)number(optarg, 1, 65535);
		break;
	case 'q':
		options->target_port = (in_port_t)number(optarg, 1, 65535);
		break;
	case 'T':
		options->timeout_ms = (int)number(optarg, 1, 600000);
		break;
	case 'I':
		options->interval_ms = (int)number(optarg, 1, 600000);
		break;
	case 's':
		options->seconds = number(optarg, 0.001, 86400);
		break;
	case 'w':
		options->warmup = number(optarg, 0, 3600);
		break;
	case 'n':
		options->count = (uint64_t)number(optarg, 1, 1e15);
		break;
	case 'F':
		options->first_name = (int64_t)number(optarg, 0, 1e15);
		break;
	case 'o':
		options->pool = (uint64_t)number(optarg, 1, 1e6);
		break;
	case 'L':
		options->lifetime = (unsigned)number(optarg, 0, 86400);
		break;
	case 'r':
		options->rate = number(optarg, 0.001, 1e9);
		break;
	case 'b':
		options->size = (size_t)number(optarg, 1, 65000);
		break;
	case 'c':
		options->cpu = (int)number(optarg, 0, 1023);
		break;
	default:
		exit(EXIT_USAGE); /* getopt said why */
	}
}

static void set_option(struct options *options, int option)
{
	switch (option) {
	case 'i':
		options->id = optarg;
		break;
	case 'l':
		set_address(options, optarg);
		break;
	case 'u':
		options->type = SOCK_DGRAM;
		break;
	case 't':
		options->type = SOCK_STREAM;
		break;
	case 'C':
		options->congestion = optarg;
		break;
	case 'P':
		set_ports(options, optarg);
		break;
	case 'f':
		options->interface = optarg;
		break;
	case 'x':
		set_close(options, optarg);
		break;
	case 'h':
		options->hold = true;
		break;
	case 'H':
		options->http = true;
		break;
	case 'S':
		options->serial = true;
		break;
	case 'U':
		options->unconnected = true;
		break;
	case 'j':
		options->json = true;
		break;
	case 'N':
		options->peer_name = true;
		break;
	case 'M':
		options->same_name = true;
		break;
	case 'G':
		options->log = true;
		break;
	case 'O':
		options->next_port = true;
		break;
	case 'A':
		options->next_address_length = read_address(&options->next_address, optarg);
		break;
	default:
		set_number(options, option);
	}
}

void parse_options(int argc, char **argv, struct options *options)
{
	*options = (struct options){.type = SOCK_STREAM,
				    .id = "apus",
				    .size = 1,
				    .timeout_ms = 1000,
				    .interval_ms = 100,
				    .cpu = -1,
				    .first_name = -1};
	int option;
	while ((option = getopt_long(argc, argv, "", long_options, NULL)) != -1)
		set_option(options, option);
	if (argc - optind == 2) {
		set_address(options, argv[optind]);
		options->port = (in_port_t)number(argv[optind + 1], 1, 65535);
	} else if (argc != optind) {
		reject("expected ADDRESS PORT, got", argv[optind]);
	}
	place_ports(options);
}

void require_peer(const struct options *options)
{
	if (options->address_length != 0 && options->port != 0)
		return;
	fprintf(stderr, "apus-traffic: this mode needs ADDRESS PORT\n");
	exit(EXIT_USAGE);
}
