import DatapathABI
import Testing

@testable import Datapath

@Suite("Records of answers that the data path hands over")
struct HandedOverTests {
    private func record(_ kind: apus_handed_over_kind, _ bytes: [UInt8], length: Int? = nil) -> HandedOver? {
        var header = apus_handed_over()
        header.kind = kind.rawValue
        header.length = UInt32(length ?? bytes.count)
        let record = Bytes(of: header) + bytes
        return HandedOver(record.span.bytes)
    }

    @Test(
        "Answers in a row are told apart by their lengths, and one that is not whole is left out",
        arguments: [
            ([], []), ([0], []), ([0, 0], [[]]), ([0, 2, 7, 8, 0, 1, 9], [[7, 8], [9]]), ([0, 1, 7, 0, 2, 8], [[7]]),
            ([0, 1, 7, 0], [[7]]), ([1, 0, 7], []),
        ] as [([UInt8], [[UInt8]])])
    func row(_ bytes: [UInt8], _ messages: [[UInt8]]) {
        #expect(record(.APUS_HANDED_OVER_ROW, bytes).map { HandedOver.messages(inRow: $0.bytes) } == messages)
    }

    @Test("A record that says more than it has, or of no known kind, is none")
    func bounds() {
        #expect(record(.APUS_HANDED_OVER_MESSAGE, [1, 2], length: 3) == nil)
        #expect(record(.APUS_HANDED_OVER_KINDS, [1, 2]) == nil)
        #expect(record(.APUS_HANDED_OVER_MESSAGE, [1, 2, 3], length: 2)?.bytes == [1, 2])
    }

    @Test("Of an answer that can't be read its id and code are told; what is no answer has none")
    func unreadable() {
        let answer = UnreadableAnswer([0x12, 0x34, 0x82, 0x03, 0xff])
        #expect(answer?.id == 0x1234 && answer?.code == 3 && answer?.isTruncated == true)
        #expect(UnreadableAnswer([0x12, 0x34, 0x02, 0x03]) == nil)
        #expect(UnreadableAnswer([0x12, 0x34, 0x82]) == nil)
    }
}
