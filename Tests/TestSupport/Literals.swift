public import Addressing

/// An address written in the source of a test; traps on a misspelt one.
public func ip(_ text: String) -> IPAddress {
    guard let address = IPAddress(text) else { preconditionFailure("'\(text)' is not an address") }
    return address
}

/// A prefix written in the source of a test; traps on a misspelt one.
public func cidr(_ text: String) -> CIDR {
    guard let prefix = CIDR(text) else { preconditionFailure("'\(text)' is not a prefix") }
    return prefix
}

/// A hardware address written in the source of a test; traps on a misspelt one.
public func mac(_ text: String) -> MACAddress {
    guard let address = MACAddress(text) else { preconditionFailure("'\(text)' is not a hardware address") }
    return address
}
