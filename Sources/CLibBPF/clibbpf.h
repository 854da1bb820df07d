#pragma once

#include <linux/bpf.h>
#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>

/* Numbers of include/uapi/linux/bpf.h that are newer than the UAPI headers of Debian 12 (6.1). Linux 6.6. */
#define CLIBBPF_TCX_INGRESS   46
#define CLIBBPF_TCX_EGRESS    47
#define CLIBBPF_LINK_TYPE_TCX 11

/* The start of struct bpf_link_info as Linux 6.6 fills it for a tcx link; the union begins on an eight-byte boundary.
 */
struct clibbpf_tcx_link_info {
	__u32 type;
	__u32 id;
	__u32 prog_id;
	__u32 padding;
	__u32 ifindex;
	__u32 attach_type;
};

_Static_assert(__builtin_offsetof(struct bpf_link_info, cgroup) ==
		       __builtin_offsetof(struct clibbpf_tcx_link_info, ifindex),
	       "the tcx member lies where the union of bpf_link_info begins");

/* libbpf refuses options with anything but zeros behind their last field, and Swift leaves what it finds in the padding
 * there. So those that end in padding are made here.
 */
static inline struct bpf_object *clibbpf_object_open(const void *image, size_t size, const char *name)
{
	LIBBPF_OPTS(bpf_object_open_opts, options, .object_name = name);

	return bpf_object__open_mem(image, size, &options);
}

/* flags: XDP_FLAGS_… of include/uapi/linux/if_link.h. */
static inline int clibbpf_link_create_xdp(int program, int interface, __u32 flags)
{
	LIBBPF_OPTS(bpf_link_create_opts, options, .flags = flags);

	return bpf_link_create(program, interface, BPF_XDP, &options);
}

static inline int clibbpf_object_get(const char *path, __u32 file_flags)
{
	LIBBPF_OPTS(bpf_obj_get_opts, options, .file_flags = file_flags);

	return bpf_obj_get_opts(path, &options);
}
