/// What a request may ask of memory before it is refused.
package struct RequestLimits: Sendable {
    /// `proto-max-bulk-len`, bytes of one argument.
    package var maximumBulkBytes = 512 << 20
    /// Arguments of one request.
    package var maximumArguments = Int(Int32.max)
    /// Bytes of an inline request, or of a header line.
    package var maximumInlineBytes = 64 << 10
    /// The client has not authenticated: it may ask for next to nothing.
    package var isUnauthenticated = false
    package static let unauthenticatedArguments = 10
    package static let unauthenticatedBulkBytes = 16384
    package init() {}
}
