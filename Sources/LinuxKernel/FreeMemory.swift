internal import CLinux

/// Memory that this process has and does not use.
public enum FreeMemory {
    /// Gives the kernel back what the allocator keeps of freed memory.
    public static func giveBack() { clinux_give_back_memory() }
}
