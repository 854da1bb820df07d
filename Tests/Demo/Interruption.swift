import Dispatch
import Foundation
import Synchronization
import TestSupport

/// Ctrl-C and its like: the lab is removed before the process ends.
///
/// A harder end is covered too: the lab's watchdog sees that its owner is gone.
struct Interruption: ~Copyable {
    private let sources: [any DispatchSourceSignal]
    private let task: Task<Void, Never>

    /// From now on a signal removes the lab, then ends the process.
    init(removing lab: Lab, _ transcript: Transcript) {
        let (signals, arrived) = AsyncStream.makeStream(of: Int32.self)
        sources = [SIGINT, SIGTERM, SIGHUP].map { number in
            signal(number, SIG_IGN)
            let source = DispatchSource.makeSignalSource(signal: number, queue: .global())
            source.setEventHandler { arrived.yield(number) }
            source.resume()
            return source
        }
        task = Task {
            for await number in signals {
                transcript.say("\nInterrupted: removing the lab.")
                transcript.silence()
                await lab.tearDown()
                exit(128 + number)
            }
        }
    }

    /// Does not return when a signal has come: what fails while the lab is being removed is no news.
    func finish(_ transcript: Transcript) async {
        if transcript.isSilent { await task.value }
    }

    deinit {
        for source in sources { source.cancel() }
        task.cancel()
    }
}
