internal import HTTPEndpoint

/// A file of the page, embedded in the binary by the build. Paths are compared as a whole: none leads anywhere else.
enum PageFile: String, CaseIterable {
    case page = "/"
    case style = "/style.css"
    case main = "/main.js"
    case dom = "/dom.js"
    case flows = "/flows.js"
    case map = "/map.js"
    case policies = "/policies.js"

    init?(path: String) { self.init(rawValue: path) }

    var answer: HTTPAnswer { HTTPAnswer(200, contentType: contentType, String(decoding: bytes, as: UTF8.self)) }

    private var contentType: String {
        switch self {
        case .page: "text/html; charset=utf-8"
        case .style: "text/css; charset=utf-8"
        case .main, .dom, .flows, .map, .policies: "text/javascript; charset=utf-8"
        }
    }

    private var bytes: [UInt8] {
        switch self {
        case .page: PackageResources.index_html
        case .style: PackageResources.style_css
        case .main: PackageResources.main_js
        case .dom: PackageResources.dom_js
        case .flows: PackageResources.flows_js
        case .map: PackageResources.map_js
        case .policies: PackageResources.policies_js
        }
    }
}
