import AgentAPI
import Testing

@Suite struct ConnectionTargets {
    @Test(arguments: [
        ("shop/web", "shop/web", nil), ("shop/web:http", "shop/web", "http"), ("shop/web:80", "shop/web", "80"),
        ("10.96.0.10", "10.96.0.10", nil), ("10.96.0.10:80", "10.96.0.10", "80"), ("fd00::10", "fd00::10", nil),
        ("[fd00::10]:http", "fd00::10", "http"), ("fd00::80", "fd00::80", nil),
        ("www.example.com", "www.example.com", nil), ("www.example.com:443", "www.example.com", "443"),
        ("registry.:http", "registry.", "http"),
    ])
    func anEndHasItsPortBehindAColonOrNone(text: String, end: String, port: String?) throws {
        let target = try #require(ConnectionTarget(text))
        #expect(target.end.description == end && target.port?.description == port)
        #expect(target.description == text)
    }

    @Test(arguments: [
        "", "web", "web:80", "shop/web:", "shop/web:0", "shop/web:65536", "10.96.0.10:", "10.96.0.10:0", "[fd00::10]",
        "[shop/web]:80", "fd00::10]:80", "/web:80", "a/b/c:80", "[10.96.0.10]x:80",
    ])
    func nothingElseIsOne(text: String) { #expect(ConnectionTarget(text) == nil) }
}
