#include "mesh.h"

#include <unistd.h>

void mesh_serve_tcp(int listener)
{
	int descriptor = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (descriptor < 0)
		return;
	send(descriptor, "!", 1, MSG_NOSIGNAL);
	close(descriptor);
}

void mesh_serve_udp(int descriptor)
{
	char byte;
	struct sockaddr_storage sender;
	socklen_t length = sizeof(sender);
	if (recvfrom(descriptor, &byte, 1, 0, (struct sockaddr *)&sender, &length) == 1)
		sendto(descriptor, "!", 1, MSG_NOSIGNAL, (struct sockaddr *)&sender, length);
}
