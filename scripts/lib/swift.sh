# Sourced: puts a Swift that can build Apus on the path, or says how to get one.
# sudo drops what a user's profile added to the path, so the usual places are looked at too.

swift_floor=6.3

# Prints the version of the swift at $1, such as 6.3.1; nothing when it does not run, which is no failure of its own.
swift_version() {
    { "$1" --version 2>/dev/null || true; } | sed -n 's/.*Swift version \([0-9][0-9.]*\).*/\1/p' | head -n 1
}

# Whether version $1 is at least version $2.
version_at_least() {
    [ "$(printf '%s\n%s\n' "$1" "$2" | sort -V | head -n 1)" = "$2" ]
}

swift_places() {
    local home
    command -v swift || true
    for home in "$HOME" "$(getent passwd "${SUDO_USER:-}" 2>/dev/null | cut -d: -f6)"; do
        [ -n "$home" ] || continue
        # The toolchains themselves, the newest first: swiftly's own command runs for the user who installed it alone.
        compgen -G "$home/.local/share/swiftly/toolchains/*/usr/bin/swift" | sort -rV || true
        printf '%s\n' "$home/.local/share/swiftly/bin/swift"
    done
    printf '%s\n' /opt/swift*/usr/bin/swift /usr/local/swift*/usr/bin/swift /usr/local/bin/swift
}

require_swift() {
    local place version found="no swift was found"
    while read -r place; do
        [ -x "$place" ] || continue
        version=$(swift_version "$place")
        if [ -z "$version" ]; then
            found="$place does not run: $("$place" --version 2>&1 | head -n 1 || true)"
            continue
        fi
        if version_at_least "$version" "$swift_floor"; then
            PATH="$(dirname "$place"):$PATH"
            export PATH
            return 0
        fi
        found="$place is version $version"
    done < <(swift_places)
    cat >&2 <<EOF
Apus needs Swift $swift_floor or newer; $found.

Get it from https://www.swift.org/install/linux/ with swiftly, Swift's installer:

    curl -O https://download.swift.org/swiftly/linux/swiftly-\$(uname -m).tar.gz
    tar xzf swiftly-\$(uname -m).tar.gz
    ./swiftly init --quiet-shell-followup
    . "\${SWIFTLY_HOME_DIR:-\$HOME/.local/share/swiftly}/env.sh"
    swiftly install latest

or unpack a release archive so that /opt/swift/usr/bin/swift exists. Then run this again.
EOF
    return 1
}
