import Primitives
@testable import RESP
import Testing
import TestSupport

/// A batch finds what the parser finds, as far as it goes.
struct RequestBatchTests {
    private func fill(_ text: [UInt8], from offset: Int = 0) -> [[String]] {
        var batch = RequestBatch()
        defer { batch.deallocate() }
        return text.withUnsafeBytes { bytes in
            batch.fill(Bytes(bytes), from: offset)
            return (0..<batch.count).map { index in
                let arguments = batch.requests[index].arguments
                return (0..<arguments.count).map { String(decoding: arguments[$0], as: UTF8.self) }
            }
        }
    }

    private func request(_ words: [String]) -> [UInt8] {
        Array("*\(words.count)\r\n".utf8) + words.flatMap { Array("$\($0.utf8.count)\r\n\($0)\r\n".utf8) }
    }

    @Test func findsAllWholeRequests() {
        let long = String(repeating: "x", count: 99_999)
        let input = request(["GET", "a"]) + request(["SET", "b", ""]) + request(["SET", "c", long])
        #expect(fill(input) == [["GET", "a"], ["SET", "b", ""], ["SET", "c", long]])
        #expect(fill(input, from: request(["GET", "a"]).count) == [["SET", "b", ""], ["SET", "c", long]])
    }

    @Test func stopsBeforeWhatIsNotOrdinary() {
        let good = request(["GET", "a"])
        for odd in ["PING\r\n", "*01\r\n$4\r\nPING\r\n", "*0\r\n", "*-1\r\n", "*1\r\n$04\r\nPING\r\n",
                    "*1\r\n$4\r\nPINGxx", "*1\r\n$-1\r\n", "*1\r\n:4\r\n", "*100\r\n", "*1\n$4\nPING\n",
                    "*1\r\n$100000\r\n", "*", "*1", "*1\r", "$", "\r\n", "*1\r\n$99999999999999999999\r\n"] {
            #expect(fill(good + Array(odd.utf8)) == [["GET", "a"]], "\(odd.debugDescription)")
            #expect(fill(Array(odd.utf8)).isEmpty, "\(odd.debugDescription)")
        }
    }

    @Test func takesNoRequestThatWasCutOff() {
        let input = request(["SET", "key", "value"])
        for length in 0..<input.count { #expect(fill(Array(input[..<length])).isEmpty) }
    }

    @Test func takesNoMoreThanFit() {
        let one = request(["PING"]), many = (0..<100).flatMap { _ in one }
        #expect(fill(many).count == RequestBatch.capacity)
        let wide = request(Array(repeating: "x", count: 99)), three = wide + wide + wide
        #expect(fill(three).count == 2)
    }

    /// Bytes at random, from those that matter: whatever the batch takes, the parser takes too, and in the same way.
    @Test func agreesWithTheParser() {
        let seed = testSeed()
        var random = RandomSource(seed: seed)
        let alphabet = Array("*$1230\r\na".utf8)
        let pieces = ["*1\r\n", "*2\r\n", "$1\r\na\r\n", "$3\r\nGET\r\n", "$0\r\n\r\n"]
        for _ in 0..<20_000 {
            var input: [UInt8] = []
            for _ in 0..<(1 + random.next(below: 8)) {
                if random.next(below: 4) == 0 {
                    input.append(alphabet[Int(random.next(below: UInt64(alphabet.count)))])
                } else {
                    input += Array(pieces[Int(random.next(below: UInt64(pieces.count)))].utf8)
                }
            }
            var parser = RequestParser(limits: RequestLimits()), expected: [[String]] = []
            input.withUnsafeBytes { bytes in
                var used = 0
                parsing: while used < bytes.count {
                    switch parser.parse(Bytes(rebasing: bytes[used...])) {
                    case .complete(let consumed):
                        used += consumed
                        expected.append((0..<parser.arguments.count).map {
                            String(decoding: parser.arguments[$0], as: UTF8.self)
                        })
                    case .empty(let consumed): used += consumed
                    case .incomplete, .failure: break parsing
                    }
                }
            }
            let found = fill(input)
            #expect(Array(expected.prefix(found.count)) == found, "seed \(seed): \(input)")
        }
    }
}
