import Encodings
import Primitives
import Testing

@Suite struct ListpackLimitTests {
    /// Sizes in a listpack's header have 32 bits. Whoever adds asks for room first, and takes another encoding when
    /// there is none, long before they overflow. (Nothing of such a pack but its header is looked at.)
    @Test(arguments: [1, 100, 1 << 20]) func aListpackIsFullBeforeItsSizesOverflow(left: Int) {
        withUnsafeTemporaryAllocation(byteCount: 16, alignment: 8) { header in
            let size = UInt32(Listpack.maximumBytes - left)
            header.storeBytes(of: size.littleEndian, as: UInt32.self)
            guard let start = header.baseAddress else { return }
            let pack = Listpack(adopting: start)
            #expect(pack.byteCount == Int(size))
            #expect(pack.hasRoom(left - 1))
            // The longest value that a client may send, and all that a request may hold.
            for more in [left, left + 1, 512 << 20, 1 << 32, 1 << 40] { #expect(!pack.hasRoom(more)) }
        }
        #expect(Listpack.maximumBytes + (512 << 20) < Int(UInt32.max))
    }
}
