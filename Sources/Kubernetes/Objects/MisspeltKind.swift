extension ObjectKind {
    /// The kind that a misspelt name stands for: one of the same group and version that two letters tell apart. No other
    /// kind of these groups is as near to one that is read.
    static func meant(by name: String, apiVersion: String) -> ObjectKind? {
        allCases.first { $0.apiVersion == apiVersion && distance(Array(name.utf8), Array($0.rawValue.utf8)) <= 2 }
    }

    /// How many letters must be put in, left out or replaced to make one name of the other.
    private static func distance(_ left: [UInt8], _ right: [UInt8]) -> Int {
        var row = Array(0...right.count)
        for (index, letter) in left.enumerated() {
            var diagonal = row[0]
            row[0] = index + 1
            for column in right.indices {
                let replaced = diagonal + (letter == right[column] ? 0 : 1)
                diagonal = row[column + 1]
                row[column + 1] = min(replaced, row[column] + 1, diagonal + 1)
            }
        }
        return row[right.count]
    }
}
