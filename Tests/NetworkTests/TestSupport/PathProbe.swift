import Addressing
import TestSupport
import Testing

/// Traffic that needs to learn how large packets may be on its way: connections that carry more than fits into a few
/// packets, and datagrams that are too large.
enum PathProbe {
    /// The bytes of a packet that a smaller link takes.
    static let smallMTU = "1300"
    static let port: Port = 8080

    private static let script = """
        import socket, sys, threading, time

        AMOUNT = 500000

        def family(address):
            return socket.AF_INET6 if ":" in address else socket.AF_INET

        # Sends what is too large for the way until the kernel knows how large it may be.
        def learned(own):
            v6 = own.family == socket.AF_INET6
            level, discover, mtu = (socket.IPPROTO_IPV6, 23, 24) if v6 else (socket.IPPROTO_IP, 10, 14)
            own.setsockopt(level, discover, 2)
            for _ in range(100):
                try:
                    own.send(bytes(1400))
                except OSError:
                    pass
                if own.getsockopt(level, mtu) < 1500:
                    break
                time.sleep(0.1)
            # The error that told so is the next call's otherwise.
            own.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            return own.getsockopt(level, mtu)

        def bound(kind, own, port):
            server = socket.socket(family(own), kind)
            server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if server.family == socket.AF_INET6:
                server.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            server.bind((own, port))
            return server

        def datagrams(server, own, port):
            while True:
                text, peer = server.recvfrom(2000)
                if text != b"push":
                    continue
                answers = bound(socket.SOCK_DGRAM, own, port)
                answers.connect(peer)
                number = learned(answers)
                answers.send(str(number).encode())
                answers.close()

        def drained(connection):
            total = 0
            while True:
                part = connection.recv(65536)
                if not part:
                    return total
                total += len(part)

        def connections(server, own, port):
            while True:
                connection, _ = server.accept()
                if connection.recv(1) == b"g":
                    connection.sendall(bytes(AMOUNT))
                else:
                    connection.sendall(str(drained(connection)).encode())
                connection.close()

        def serve(port):
            for own in ("0.0.0.0", "::"):
                for kind, answer in ((socket.SOCK_DGRAM, datagrams), (socket.SOCK_STREAM, connections)):
                    server = bound(kind, own, port)
                    if kind == socket.SOCK_STREAM:
                        server.listen()
                    threading.Thread(target=answer, args=(server, own, port), daemon=True).start()
            print("listening", flush=True)
            threading.Event().wait()

        def connected(kind, address, port, own):
            client = socket.socket(family(address), kind)
            client.settimeout(60)
            if own:
                client.bind((own, 0))
            client.connect((address, port))
            return client

        # The way there, by datagrams; the way back, likewise; and both by connections.
        def probe(*end):
            print(learned(connected(socket.SOCK_DGRAM, *end)))

        # As `probe`, from a line of input on.
        def later(*end):
            client = connected(socket.SOCK_DGRAM, *end)
            print("connected", flush=True)
            sys.stdin.readline()
            print(learned(client), flush=True)

        def push(*end):
            client = connected(socket.SOCK_DGRAM, *end)
            client.send(b"push")
            text = client.recv(2000)
            while len(text) == 1400:
                text = client.recv(2000)
            print(text.decode())

        def put(*end):
            client = connected(socket.SOCK_STREAM, *end)
            client.sendall(b"p" + bytes(AMOUNT))
            client.shutdown(socket.SHUT_WR)
            print("all" if int(client.recv(100)) == AMOUNT else "part")

        def get(*end):
            client = connected(socket.SOCK_STREAM, *end)
            client.sendall(b"g")
            print("all" if drained(client) == AMOUNT else "part")

        mode = sys.argv[1]
        if mode == "serve":
            serve(int(sys.argv[2]))
        else:
            own = sys.argv[4] if len(sys.argv) > 4 else None
            {"probe": probe, "later": later, "push": push, "put": put, "get": get}[mode](sys.argv[2], int(sys.argv[3]), own)
        """

    static func command(_ arguments: String...) -> [String] { ["python3", "-c", script] + arguments }

    /// Starts a server for the ways back.
    static func serve(on host: LabHost) async throws {
        let server = try host.spawn(command("serve", "\(port)"))
        try await eventually("a server for path probes on \(host.name)") {
            if let result = server.result { throw LabError("serve on \(host.name)", result.errors) }
            return server.lines.contains("listening")
        }
    }
}

extension LabHost {
    /// Runs a mode of `PathProbe`, and returns what it found out.
    ///
    /// - Parameters:
    ///   - mode: `probe` and `push` print the largest packet on the way there and back, `put` and `get` whether all that
    ///     a connection carries arrived. Any server that takes datagrams will do for `probe`.
    ///   - own: The address that it asks from; nil: any.
    func probePath(
        _ mode: String, to address: IPAddress, _ port: Port, from own: IPAddress? = nil, covered: Bool = true
    ) async throws -> String {
        var command = PathProbe.command(mode, "\(address)", "\(port)")
        if let own { command.append("\(own)") }
        return try await output(command, covered: covered).filter { !$0.isNewline }
    }
}
