// Entry point at an uplink, before the kernel has made anything of a frame.
#define CLIENTS_OUTSIDE 1
#include "../lib/frame_xdp.h"

#include "../lib/shortcut.h"

SEC("xdp")
int shortcut(struct xdp_md *frame)
{
	return handle_frame(frame, bpf_ktime_get_coarse_ns());
}

char LICENSE[] SEC("license") = "GPL";
