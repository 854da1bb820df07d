/// Fixed seeds, which find the same every time, and a fresh one, which finds something new now and then. It is printed:
/// to run it again, put it in the place of the random one.
func withFreshSeed(_ fixed: [UInt64], of suite: String) -> [UInt64] {
    let fresh = UInt64.random(in: .min ... .max)
    print("\(suite): fresh seed \(fresh)")
    return fixed + [fresh]
}
