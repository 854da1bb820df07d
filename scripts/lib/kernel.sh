# Sourced: says before anything is built that a kernel is too old for Apus.

kernel_floor=6.6

require_kernel() {
    local release
    release=$(uname -r)
    [ "$(printf '%s\n%s\n' "${release%%[-+]*}" "$kernel_floor" | sort -V | head -n 1)" != "$kernel_floor" ] || return 0
    cat >&2 <<EOF
Apus needs Linux $kernel_floor or newer; this is $release.

On Debian 12 the package linux-image-amd64 of bookworm-backports has one (linux-image-arm64 likewise). Install it, restart
the machine and run this again.
EOF
    return 1
}
