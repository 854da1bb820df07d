internal import Synchronization

/// Records as lines of a rotating file.
public final class FileSink: FlowSink {
    /// What can fail, as metrics label it.
    public static let operations = RotatingFile.Operation.allCases.map(\.rawValue)

    private let file: Mutex<RotatingFile>
    private let queue = BlockingQueue("apus.export.file")

    /// - Parameters:
    ///   - size: bytes after which the file is put aside.
    ///   - kept: how many of those put aside are kept.
    public init(path: String, size: Int, kept: Int) {
        file = Mutex(RotatingFile(RotatingFile.Layout(path: path, size: size, kept: kept)))
    }

    public func deliver(_ records: [ExportRecord]) async -> Delivery {
        let delivery = await queue.run { [self] in
            let (written, problem) = file.withLock { $0.append(records.map { $0.bytes + [UInt8(ascii: "\n")] }) }
            return Delivery(
                delivered: written,
                problem: problem.map { DeliveryProblem(operation: $0.operation.rawValue, text: $0.text) })
        }
        return delivery
            ?? Delivery(
                delivered: 0,
                problem: DeliveryProblem(
                    operation: RotatingFile.Operation.write.rawValue, text: "the disk does not answer"))
    }
}
