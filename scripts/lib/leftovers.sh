# Sourced: finds what tests and labs of this project left behind. Its names carry the process that made it.

# Prints what is there of processes that are gone: namespaces, cgroups, mounts and directories of labs that nobody kept.
abandoned() {
    local path process
    {
        find /run/netns /run/apus-lab -mindepth 1 -maxdepth 1 -name 'apus-*' 2>/dev/null || true
        awk '$3 == "cgroup2" { print $2 }' /proc/mounts |
            xargs -r -I '{}' find '{}' -mindepth 1 -maxdepth 1 -name 'apus-*' || true
        awk '$3 == "bpf" && $2 ~ /\/apus-[^\/]*$/ { print $2 }' /proc/mounts
    } | sort -u | while read -r path; do
        process=$(printf '%s\n' "${path##*/}" | sed -nE 's/^apus-([a-z]+-)*([0-9]+)-.*/\2/p')
        [ -n "$process" ] && [ ! -d "/proc/$process" ] && [ ! -e "/run/apus-lab/${path##*/}/keep" ] || continue
        printf '%s\n' "$path"
    done
}

# Unmounts the bpf file systems of tests that were killed; labs remove theirs themselves.
remove_abandoned_mounts() {
    local path
    abandoned | while read -r path; do
        [ "$(stat -f -c %T "$path" 2>/dev/null)" = bpf_fs ] || continue
        umount "$path" && rmdir "$path"
    done
}

# Prints the processes that run a program of the tree $1.
running_from() {
    local process program
    for process in /proc/[0-9]*; do
        program=$(readlink "$process/exe" 2>/dev/null) || continue
        case "$program" in
        "$1"/.build/* | "$1"/Benchmarks/.build/*) printf '%s %s\n' "${process##*/}" "$program" ;;
        esac
    done
}

# Prints the processes of any program that labs left which nobody kept: they are in the lab's cgroup, also when its
# directory was removed from under them. $1 is the proc file system, /proc by default.
processes_of_labs() {
    local proc=${1:-/proc} process lab owner
    for process in "$proc"/[0-9]*; do
        lab=$(sed -nE 's/^0::.*\/(apus-[0-9]+-[0-9]+)(\/.*| \(deleted\))?$/\1/p' "$process/cgroup" 2>/dev/null) || continue
        [ -n "$lab" ] && [ ! -e "/run/apus-lab/$lab/keep" ] || continue
        owner=${lab#apus-}
        [ ! -d "$proc/${owner%-*}" ] || continue
        printf '%s %s of %s\n' "${process##*/}" "$(cat "$process/comm" 2>/dev/null)" "$lab"
    done
}

# Everything that labs and tests of the tree $1 left.
leftovers() {
    { abandoned; running_from "$1"; processes_of_labs; } | sort
}

# Waits a while for what removes itself; fails and tells when something stays that is not in the list $2.
expect_nothing_left() {
    local tries=0 left
    while left=$(leftovers "$1" | comm -23 - "$2") && [ -n "$left" ]; do
        tries=$((tries + 1))
        if [ $tries -ge 60 ]; then
            printf 'left behind: %s\n' "$left" >&2
            return 1
        fi
        sleep 0.5
    done
}
