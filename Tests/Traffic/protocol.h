#pragma once

/*
 * What clients and servers of this tool say to each other.
 *
 * TCP: the first byte of a connection chooses how the server treats it.
 * UDP: the first byte of each datagram does; anything but ASK is echoed.
 */
enum connection_kind {
	KIND_ASK = '?', /* lines "?…\n"; each is answered "ID\n" and the line itself */
	KIND_ECHO = '=', /* all that follows the first byte comes back unchanged */
	KIND_ONCE = '1', /* as KIND_ECHO, but the server closes after the first answer */
	KIND_SINK = '>', /* all is discarded; at the end of the stream the server answers with the count, in decimal */
};

enum {
	ID_LIMIT = 64, /* bytes of a server's name */
	REQUEST_LIMIT = 128, /* bytes of a request line */
};
