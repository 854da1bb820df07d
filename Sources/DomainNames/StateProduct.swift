/// Two automata run side by side as one, which accepts what either accepts.
struct StateProduct {
    private let left: StateTable
    private let right: StateTable
    private var table = StateTable()
    private var states: [UInt64: UInt32] = [0: StateTable.dead]
    /// The pair that each state of the table stands for.
    private var pairs: [(UInt32, UInt32)] = [(StateTable.dead, StateTable.dead)]

    /// The reachable pairs, numbered in the order in which a walk by breadth meets them; nil when there are more than
    /// `limit`. `made` is the number of states that it took to find out.
    static func table(_ left: StateTable, _ right: StateTable, limit: Int) -> (table: StateTable?, made: Int) {
        var product = StateProduct(left, right)
        let fits = product.explore(limit: limit)
        return (fits ? product.table : nil, product.table.count)
    }

    private init(_ left: StateTable, _ right: StateTable) {
        self.left = left
        self.right = right
    }

    private mutating func explore(limit: Int) -> Bool {
        table.start = state(left.start, right.start)
        var done = 1
        while done < pairs.count {
            if table.count > limit { return false }
            let (first, second) = pairs[done]
            for character in 0..<StateTable.width {
                let target = state(left.next(first, character), right.next(second, character))
                table.setNext(UInt32(done), character, target)
            }
            done += 1
        }
        return table.count <= limit
    }

    private mutating func state(_ first: UInt32, _ second: UInt32) -> UInt32 {
        let key = UInt64(first) << 32 | UInt64(second)
        if let known = states[key] { return known }
        let (one, other) = (left.accepted[Int(first)], right.accepted[Int(second)])
        let state = table.addState(accepting: one.isEmpty ? other : other.isEmpty ? one : (one + other).sorted())
        states[key] = state
        pairs.append((first, second))
        return state
    }
}
