// ICMP errors about what is translated: each end of a connection hears of it by the addresses that it knows itself.
//
// In the node a translated connection has the ends (opener, other end), as its entry's key has them. Outside of an
// uplink, and in a pod whose packets are translated there, one of them goes by another name: to the opener the other
// end is the Service, and to the other end the opener is the node. So an error is translated where its packets are,
// once for each hook that it passes, and in between it is one about (opener, other end).
#pragma once

#include "connection.h"
#include "icmp_quote.h"
#include "other_port.h"

// Whether the quoted packet has ports, or what stands for them, that could be another's.
ALWAYS_INLINE _Bool has_quoted_ports(const struct packet *quoted)
{
	return !(quoted->flags & PACKET_LATER_FRAGMENT) && (is_translatable(quoted) || is_echo(quoted));
}

// Whether the opener knows the other end as a Service, and is on the far side of this hook.
ALWAYS_INLINE _Bool has_frontend_at(const struct apus_connection *connection, _Bool at_uplink)
{
	return connection->flags & APUS_CONNECTION_TRANSLATED &&
	       !(connection->flags & APUS_CONNECTION_FROM_OUTSIDE) != at_uplink;
}

// Whether the other end knows the opener as the node: a pod, or a client from outside.
ALWAYS_INLINE _Bool leaves_in_own_name(const struct apus_connection *connection)
{
	return connection->source_port &&
	       (opener_is_local(connection) || connection->flags & APUS_CONNECTION_FROM_OUTSIDE);
}

// The connection of the subject's key, NULL when it is over or there is none.
ALWAYS_INLINE const struct apus_connection *live_connection(const struct error_subject *subject, __u64 now)
{
	const struct apus_connection *connection = connection_with(&subject->connection).connection;

	return connection && !connection_is_expired(connection, subject->connection.protocol, now) ? connection : NULL;
}

// Whether the quoted packet's sender goes by the name that it has there: that of a Service or the node. Then the
// subject has the key of its connection, and what it is to be rewritten to.
GLOBAL int find_named_sender(struct error_subject *subject, __u32 at_uplink, __u64 now)
{
	const struct apus_connection *connection;
	const struct apus_translation *known;
	struct apus_translation_key *name;
	struct rewrite *rewrite;
	_Bool high;

	if (!subject || !has_quoted_ports(&subject->quoted))
		return 0;
	name = &subject->name;
	rewrite = &subject->rewrite;
	name->client = subject->quoted.destination;
	name->client_port = subject->quoted.destination_port;
	name->frontend = rewrite->from = subject->quoted.source;
	name->frontend_port = rewrite->from_port = subject->quoted.source_port;
	name->protocol = subject->quoted.protocol;
	known = translation_find(name);
	if (!known)
		return 0;
	rewrite->to = known->backend;
	rewrite->to_port = known->backend_port;
	rewrite->destination = 1;
	subject->other_port = known_port(name, known, now);
	high = connection_key_of(&rewrite->to, rewrite->to_port, &name->client, subject->other_port, name->protocol,
				 &subject->connection);
	connection = live_connection(subject, now);
	if (!connection)
		return 0;
	if (connection->opener == high)
		return at_uplink && leaves_in_own_name(connection) && connection->source_port == rewrite->from_port;
	return has_frontend_at(connection, at_uplink) && connection->frontend_port == rewrite->from_port &&
	       address_equal(&connection->frontend, &rewrite->from);
}

// Leads an ICMP error that is for a name of an end to that end. 1: it was led there.
GLOBAL int lead_error(struct __sk_buff *skb, const struct packet *error, __u32 at_uplink, __u64 now)
{
	struct error_subject *subject = error ? subject_of_error(skb, error) : NULL;

	if (!subject || !find_named_sender(subject, at_uplink, now))
		return 0;
	return rewrite_error(skb, error, subject, 1) < 0 ? 0 : 1;
}

// Whether the quoted packet's sender knows the receiver by another name. Then the subject has what the receiver is to
// be rewritten to.
//
// `own`: the node's address at this hook; NULL: it is a pod's.
GLOBAL int find_name_of_receiver(struct error_subject *subject, const struct apus_address *own, __u64 now)
{
	const struct apus_connection *connection;
	struct rewrite *rewrite;
	_Bool high;

	if (!subject || !has_quoted_ports(&subject->quoted))
		return 0;
	rewrite = &subject->rewrite;
	high = connection_key(&subject->quoted, &subject->connection);
	connection = live_connection(subject, now);
	if (!connection)
		return 0;
	rewrite->from = subject->quoted.destination;
	rewrite->from_port = subject->quoted.destination_port;
	if (connection->opener == high) {
		rewrite->to = connection->frontend;
		rewrite->to_port = connection->frontend_port;
		subject->other_port = own_port_of_opener(connection);
		return has_frontend_at(connection, own != NULL);
	}
	if (!own || address_is_zero(own))
		return 0;
	rewrite->to = *own;
	rewrite->to_port = connection->source_port;
	return leaves_in_own_name(connection);
}

// Whether the error comes from the receiver's name, too: it is the receiver's, or that of a router in between, and
// leaves the node, from which the network may take no other sources (RFC 5508, REQ-5). To a pod a router speaks for
// itself.
ALWAYS_INLINE _Bool comes_from_name(const struct packet *error, const struct packet *quoted,
				    const struct apus_address *own)
{
	return address_equal(&error->source, &quoted->destination) || (own && !address_equal(&error->source, own));
}

// Lets an ICMP error say of an end what its receiver knows of that.
GLOBAL int name_in_error(struct __sk_buff *skb, const struct packet *error, const struct apus_address *own, __u64 now)
{
	struct error_subject *subject = error ? subject_of_error(skb, error) : NULL;

	if (!subject || !find_name_of_receiver(subject, own, now))
		return 0;
	return rewrite_error(skb, error, subject, comes_from_name(error, &subject->quoted, own));
}
