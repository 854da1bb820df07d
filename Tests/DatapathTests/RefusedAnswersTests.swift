import Addressing
import DatapathABI
import Testing

@testable import Datapath

@Suite("Answers that could not be learned at once")
struct RefusedAnswersTests {
    private func answer(
        _ number: Int, pod: UInt32 = 1, time: UInt64? = nil, addresses: ClosedRange<UInt32> = 1...2, end: UInt64 = 100
    ) -> PodAnswer {
        PodAnswer(
            pod: EndpointReference(slot: pod, identity: 7), name: "n\(number).web.test", time: time ?? UInt64(number),
            addresses: addresses.map { PodAnswer.Address(address: IPAddress(v4: $0), end: end + UInt64($0)) })
    }

    @Test("What was busy is tried again at once; what found no room waits until some is made, the last answer first")
    func kinds() {
        var refused = RefusedAnswers()
        let outcomes: [apus_lesson_outcome] = [
            .APUS_LESSON_LEARNED, .APUS_LESSON_COLLIDED, .APUS_LESSON_BUSY, .APUS_LESSON_NO_ROOM, .APUS_LESSON_BUSY,
            .APUS_LESSON_NO_ROOM,
        ]
        for (number, outcome) in outcomes.enumerated() { refused.add(answer(number), outcome) }
        #expect(refused.takeBusy(now: 0).map(\.name) == ["n2.web.test", "n4.web.test"])
        #expect(refused.takeBusy(now: 0).isEmpty)
        #expect(refused.waitingCount == 2 && refused.hasUntried)
        let taken = refused.takeWaiting(now: 0)
        #expect(taken.map(\.name) == ["n5.web.test", "n3.web.test"])
        #expect(refused.waitingCount == 0 && !refused.hasUntried && refused.takeWaiting(now: 0).isEmpty)
        // It was tried, and waits on.
        refused.keep(taken[0])
        #expect(refused.waitingCount == 1 && !refused.hasUntried)
        #expect(refused.lost == LostAnswers())
    }

    @Test("What has ended is not tried again, and of what says the same only the last")
    func takes() {
        var refused = RefusedAnswers()
        refused.keep(answer(1, time: 1, end: 10))
        refused.keep(answer(2, time: 2, addresses: 1...3, end: 49))
        for time in [3, 5, 4] as [UInt64] { refused.keep(answer(3, time: time)) }
        refused.keep(answer(3, pod: 2, time: 6))
        refused.keep(answer(3, time: 7, addresses: 1...1))
        let taken = refused.takeWaiting(now: 50)
        #expect(taken.map(\.time) == [7, 6, 5, 2])
        #expect(taken.last?.addresses.map(\.end) == [51, 52])
        #expect(refused.lost.expired == 1)
        refused.add(answer(1, end: 10), .APUS_LESSON_BUSY)
        #expect(refused.takeBusy(now: 50).isEmpty && refused.lost.expired == 2)
    }

    @Test("Of several that say the same each address counts for as long as any of them says")
    func longest() {
        var refused = RefusedAnswers()
        refused.keep(answer(3, time: 1, end: 500))
        refused.keep(answer(3, time: 2, end: 400))
        refused.keep(answer(3, time: 3, end: 100))
        let taken = refused.takeWaiting(now: 0)
        #expect(taken.map(\.time) == [3] && taken.first?.addresses.map(\.end) == [501, 502])
        #expect(refused.lost == LostAnswers())
    }

    @Test("What is learned late is judged by the time of then, and never by one before its answer")
    func late() {
        for (now, time) in [(60, 60), (3, 5)] as [(UInt64, UInt64)] {
            let lesson = answer(1, time: 5).lesson(set: 1, policies: [7], now: now)
            #expect(lesson.time == time && lesson.addresses.map(\.used_ns) == [time, time])
            #expect(lesson.addresses.map(\.end_ns) == [101, 102])
        }
    }

    @Test("There is room for so many of each, and the pod with the most gives way")
    func bound() {
        var refused = RefusedAnswers()
        for number in 0..<RefusedAnswers.most + 10 {
            refused.add(answer(number), .APUS_LESSON_NO_ROOM)
            refused.add(answer(number), .APUS_LESSON_BUSY)
        }
        #expect(refused.waitingCount == RefusedAnswers.most && refused.lost.givenUp == 20)
        #expect(refused.takeBusy(now: 0).count == RefusedAnswers.most)
        for number in 0..<100 { refused.add(answer(number, pod: 2), .APUS_LESSON_NO_ROOM) }
        for number in 5_000..<5_100 { refused.add(answer(number), .APUS_LESSON_NO_ROOM) }
        let taken = refused.takeWaiting(now: 0)
        #expect(taken.count == RefusedAnswers.most && taken.filter { $0.pod.slot == 2 }.count == 100)
        // Of its own the oldest go.
        #expect(taken.filter { $0.pod.slot == 1 }.map(\.time).max() == 5_099)
        for pod in 1...UInt32(RefusedAnswers.most + 10) { refused.keep(answer(1, pod: pod)) }
        #expect(refused.waitingCount == RefusedAnswers.most)
    }

    @Test("Answers with many addresses leave room for those of others")
    func addresses() {
        var refused = RefusedAnswers()
        refused.keep(answer(1, pod: 2))
        for number in 0..<10 { refused.keep(answer(number, addresses: 1...4000)) }
        let taken = refused.takeWaiting(now: 0)
        #expect(taken.filter { $0.pod.slot == 1 }.map(\.time) == [9, 8, 7, 6])
        #expect(taken.filter { $0.pod.slot == 2 }.count == 1)
        #expect(taken.reduce(0) { $0 + $1.addresses.count } <= RefusedAnswers.mostAddresses)
    }
}
