// Whether a pod may send what comes from its interface.
#pragma once

#include "endpoint.h"

ALWAYS_INLINE _Bool frame_has_source(frame_t *frame, const __u8 mac[6])
{
	const __u8 *source = header_at(frame, ETH_ALEN, ETH_ALEN);

	return source && *(const __u32 *)source == *(const __u32 *)mac &&
	       *(const __u16 *)&source[4] == *(const __u16 *)&mac[4];
}

// Whether a pod may send the packet: from its own MAC, and from its own addresses. Neighbour and listener discovery
// also come from the link-local and, during duplicate address detection, from the unspecified address.
ALWAYS_INLINE enum apus_reason check_source(frame_t *frame, const struct packet *packet,
					    const struct apus_endpoint *endpoint)
{
	if (endpoint->flags & APUS_ENDPOINT_CHECK_MAC && !frame_has_source(frame, endpoint->mac))
		return APUS_REASON_INVALID_SOURCE_MAC;
	if (likely(!address_is_zero(&packet->source) && endpoint_owns(endpoint, &packet->source)))
		return APUS_REASON_NONE;
	if (packet->flags & PACKET_NEIGHBOUR &&
	    (address_is_zero(&packet->source) || address_is_v6_link_local(&packet->source)))
		return APUS_REASON_NONE;
	return APUS_REASON_INVALID_SOURCE;
}
