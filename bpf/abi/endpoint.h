// Endpoints: the pods of this node, as the data path knows them.
#pragma once

#include "policy.h"

enum {
	// A pod has at most one address of each family (Kubernetes' status.podIPs).
	APUS_ENDPOINT_ADDRESSES = 2,
};

enum apus_endpoint_flag {
	APUS_ENDPOINT_CHECK_MAC = 1, // `mac` is known: frames from another source address are dropped
	APUS_ENDPOINT_REDIRECT = 2, // the interface is a veth: bpf_redirect_peer can deliver to it
	APUS_ENDPOINT_LEAVING = 4, // nothing leads to it any more: only packets that have found it already may use it
};

enum {
	// Where an endpoint's bridge is in its flags. One whose number needs more than the 24 bits left is as none.
	APUS_ENDPOINT_BRIDGE_SHIFT = 8,
};

// What judges an endpoint's traffic in one epoch.
struct apus_endpoint_epoch {
	__u32 generation; // never 0; changes whenever the endpoint's live connections must be judged again
	__u32 ingress_policy; // 0: everything may enter
	__u32 egress_policy; // 0: everything may leave
};

// One slot of the `endpoints` array; slot 0 stays empty and means "not an endpoint of this node".
//
// The agent writes an epoch only while no packet reads it; the data path reads all of one epoch. So a connection is
// never stamped with a generation whose policies it was not judged under.
struct apus_endpoint {
	struct apus_address addresses[APUS_ENDPOINT_ADDRESSES]; // unused ones are zero
	__u32 ifindex; // host side of the pod's link; 0 while the slot is free
	__u32 identity; // unique for the life of the pins: a pod that takes over an address has another one
	struct apus_endpoint_epoch epochs[APUS_EPOCHS];
	__u32 flags; // enum apus_endpoint_flag; above them the bridge that the host side is a port of, or 0
	__u8 mac[6]; // the pod's end of the link
	__u8 host_mac[6]; // the host's end
	__u32 coming_policy; // what `egress_policy` is about to become, or has just become: names are learned for it
			     // too; 0: none
};

_Static_assert(sizeof(struct apus_endpoint) == 112, "endpoint layout");
