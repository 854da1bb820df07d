// Why a packet was dropped. One enum for the event field, the counter, the metric label and the CLI's text.
#pragma once

#if __has_attribute(enum_extensibility)
#define APUS_CLOSED_ENUM __attribute__((enum_extensibility(closed)))
#else
#define APUS_CLOSED_ENUM
#endif

enum APUS_CLOSED_ENUM apus_reason {
	APUS_REASON_NONE, // not dropped
	APUS_REASON_UNKNOWN_ENDPOINT, // from or to an interface that no endpoint owns
	APUS_REASON_INVALID_SOURCE_MAC, // a pod used a hardware address that is not its own
	APUS_REASON_INVALID_SOURCE, // a source address that the sender does not own
	APUS_REASON_TRUNCATED, // shorter than its headers say
	APUS_REASON_MALFORMED, // header fields that contradict each other
	APUS_REASON_UNSUPPORTED, // a link-layer protocol that is neither IP nor ARP
	APUS_REASON_FRAGMENT, // its first one was not seen, or it is of SCTP and its port would have to change
	APUS_REASON_POLICY_ISOLATED, // no rule allows it and a policy isolates the pod
	APUS_REASON_POLICY_DENIED, // a rule denies it
	APUS_REASON_POLICY_MISSING, // the endpoint's policy is not in the maps
	APUS_REASON_NO_BACKEND, // the Service has no endpoint
	APUS_REASON_SOURCE_PORT, // the client's port is taken towards every backend tried
	APUS_REASON_CONNECTION_FAILED, // the connection could not be recorded
	APUS_REASON_NO_LOCAL_BACKEND, // the Service serves clients from outside on nodes with an endpoint only
	APUS_REASON_NO_SOURCE, // the node has no address of the family to send from in its own name
	APUS_REASON_SOURCE_RANGE, // the Service's load balancer is not for this client
	APUS_REASON_INVALID_DESTINATION, // to a pod's interface, for an address that is not the pod's
	APUS_REASON_PORTS_EXHAUSTED, // no port of the node's was found free towards the destination
	APUS_REASON_COUNT,
};

enum APUS_CLOSED_ENUM apus_direction {
	APUS_DIRECTION_EGRESS, // leaving a pod
	APUS_DIRECTION_INGRESS, // entering a pod
};

// Value of the per-CPU array `drops`; its index is reason * 2 + direction.
struct apus_drop_counter {
	unsigned long long packets;
	unsigned long long bytes;
};
