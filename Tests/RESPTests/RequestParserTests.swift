import Primitives
import RESP
import Testing
import TestSupport

struct RequestParserTests {
    /// What became of one input.
    enum Outcome: Equatable {
        case request([[UInt8]], consumed: Int)
        case empty(consumed: Int)
        case incomplete
        case failure(ProtocolError)
    }

    private func parse(_ parser: inout RequestParser, _ input: [UInt8]) -> Outcome {
        input.withUnsafeBytes { bytes in
            switch parser.parse(bytes) {
            case .complete(let consumed):
                let arguments = (0..<parser.arguments.count).map { Array(parser.arguments[$0]) }
                return .request(arguments, consumed: consumed)
            case .empty(let consumed): return .empty(consumed: consumed)
            case .incomplete: return .incomplete
            case .failure(let error): return .failure(error)
            }
        }
    }

    private func parse(_ text: String) -> Outcome {
        var parser = RequestParser(limits: RequestLimits())
        return parse(&parser, Array(text.utf8))
    }

    private func words(_ words: String...) -> [[UInt8]] { words.map { Array($0.utf8) } }

    @Test func wholeRequests() {
        #expect(parse("*2\r\n$3\r\nGET\r\n$1\r\nk\r\n") == .request(words("GET", "k"), consumed: 20))
        #expect(parse("*1\r\n$0\r\n\r\nrest") == .request(words(""), consumed: 10))
        #expect(parse("SET k \"a b\"\r\n") == .request(words("SET", "k", "a b"), consumed: 13))
        #expect(parse("PING\n") == .request(words("PING"), consumed: 5))
        #expect(parse("\r\n") == .empty(consumed: 2))
        #expect(parse("*0\r\n") == .empty(consumed: 4))
        #expect(parse("*-1\r\n") == .empty(consumed: 5))
    }

    @Test func badRequestsAreRefusedWithTheReason() {
        #expect(parse("*x\r\n") == .failure(.invalidMultibulkLength))
        #expect(parse("*99999999999\r\n") == .failure(.invalidMultibulkLength))
        #expect(parse("*1\r\n:3\r\nGET\r\n") == .failure(.expectedDollar(UInt8(ascii: ":"))))
        #expect(parse("*1\r\n$-1\r\n") == .failure(.invalidBulkLength))
        #expect(parse("*1\r\n$99999999999\r\n") == .failure(.invalidBulkLength))
        #expect(parse("SET k \"open\r\n") == .failure(.unbalancedQuotes))
    }

    /// However a pipeline is cut, the requests are the same; the parser goes on where it was.
    @Test func aPipelineCutAnywhereGivesTheSameRequests() {
        let requests = [words("SET", "key", "value\r\n*1"), words("GET", ""), words("MGET", "a", "b", "c", "d")]
        var input: [UInt8] = []
        for request in requests {
            input += Array("*\(request.count)\r\n".utf8)
            for argument in request { input += Array("$\(argument.count)\r\n".utf8) + argument + [13, 10] }
        }
        for cut in 0...input.count {
            var parser = RequestParser(limits: RequestLimits())
            var got: [[[UInt8]]] = [], start = 0
            for end in [cut, input.count] {
                while start < end {
                    guard case .request(let arguments, let consumed) = parse(&parser, Array(input[start..<end]))
                    else { break }
                    got.append(arguments)
                    start += consumed
                }
            }
            #expect(got == requests, "cut at \(cut)")
            #expect(start == input.count)
        }
    }

    /// Bytes at random neither trap nor are read beyond their end.
    @Test func randomBytesAreAnsweredOrRefused() {
        let seed = testSeed()
        print("seed \(seed)")
        var random = RandomSource(seed: seed)
        let alphabet = Array("*$0123456789-\r\n \"'\\xGET".utf8)
        for _ in 0..<20_000 {
            var parser = RequestParser(limits: RequestLimits())
            var input = [UInt8](repeating: 0, count: random.next(below: 40) + 1)
            for index in input.indices { input[index] = alphabet[random.next(below: alphabet.count)] }
            if case .request(_, let consumed) = parse(&parser, input) { #expect(consumed <= input.count) }
        }
    }
}
