import HTTPEndpoint
import Testing

@Suite struct ListenAddressTests {
    @Test(arguments: [
        (":9990", nil, 9990), ("127.0.0.1:9879", "127.0.0.1", 9879), ("[::1]:0", "::1", 0), ("0.0.0.0:1", "0.0.0.0", 1),
    ])
    func isParsedAndWrittenAlike(text: String, host: String?, port: Int) throws {
        let address = try #require(ListenAddress(text))
        #expect(address.host == host)
        #expect(address.port == port)
        #expect("\(address)" == text)
    }

    @Test(arguments: ["", "9990", ":", ":65536", ":-1", "localhost:80", "::1:80", "[127.0.0.1:80", "1.2.3:80", "a:b"])
    func whatIsNoAddressIsRefused(text: String) { #expect(ListenAddress(text) == nil) }
}
