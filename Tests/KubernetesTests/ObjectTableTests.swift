import Testing

@testable import Kubernetes

@Suite("Tables of objects")
struct ObjectTableTests {
    private let keys = [
        ObjectKey(.pod, namespace: "shop", name: "web"), ObjectKey(.pod, namespace: "shop", name: "cart"),
        ObjectKey(.pod, namespace: "ops", name: "web"), ObjectKey(.service, namespace: "shop", name: "web"),
        ObjectKey(.node, name: "web"),
    ]

    @Test("objects of one name are told apart by their kinds and namespaces")
    func keysApart() {
        var table = ObjectTable<Int>()
        for (number, key) in keys.enumerated() { #expect(table.updateValue(number, forKey: key) == nil) }
        #expect(keys.map { table[$0] } == [0, 1, 2, 3, 4])
        #expect(table.keys.sorted() == keys.sorted())
        #expect(!table.contains(ObjectKey(.service, namespace: "ops", name: "web")))
    }

    @Test("what is set again or removed answers what it was")
    func formerValues() {
        var table = ObjectTable<Int>()
        #expect(table.updateValue(1, forKey: keys[0]) == nil)
        #expect(table.updateValue(2, forKey: keys[0]) == 1)
        #expect(table.removeValue(forKey: keys[1]) == nil)
        #expect(table.removeValue(forKey: keys[0]) == 2)
        #expect(table.isEmpty)
        table[keys[2]] = 3
        table[keys[2]] = nil
        #expect(table[keys[2]] == nil && table.isEmpty)
    }

    @Test("tables without values tell what is in them")
    func sets() {
        var table = ObjectTable<Void>()
        table[keys[0]] = ()
        #expect(table.contains(keys[0]) && !table.contains(keys[1]))
        #expect(table.updateValue((), forKey: keys[0]) != nil)
        #expect(table.updateValue((), forKey: keys[1]) == nil)
    }
}
