import CShims
import CTLS
import Engine
import Glibc
import Primitives

// Rounds with I/O threads: what would be read or written one after another is done by all threads at once, and then
// dealt with as ever, in the order as ever.
//
//     events → read jobs → all read and parse → each event is delivered: its connection finds that (`readAhead`)
//     connections with replies → write jobs → all written → each is flushed: it finds its bytes sent (`writeAhead`)
//
// Invariants
//  1. A connection has at most one job in a list, and its outcome is taken before the next list of that kind is made.
//  2. Whether a connection may read or write is asked before its job is made, and what its commands do is decided
//     when its turn comes, as without threads: one that was closed meanwhile loses input that it would not have read.

extension ServerCore {
    /// `io-threads`, at the start: 1 is no object and no cost.
    func startIOThreads() {
        guard configuration.ioThreads > 1 else { return }
        let threads = IOThreads(count: configuration.ioThreads)
        threads.start()
        ioThreads = threads
        if configuration.ioThreadsDoReads {
            loop.onEvents = { [unowned(unsafe) self] events, count in deliver(events, count, threads) }
        }
    }

    /// Few jobs are done sooner than others are woken.
    private func isWorthwhile(_ jobs: Int, _ threads: IOThreads) -> Bool {
        jobs >= 2 * threads.count || (configuration.ioThreadsAlwaysActive && jobs > 0)
    }

    // MARK: Reading

    private func deliver(_ given: UnsafeMutablePointer<epoll_event>, _ count: Int, _ threads: IOThreads) {
        if isDelivering {
            // A round within a command of another one (loading), whose outcomes still lie there.
            for index in 0..<count { loop.deliver(given[index]) }
            return
        }
        // Such a round overwrites the loop's events.
        let events = UnsafeMutablePointer<epoll_event>.allocate(capacity: count)
        events.initialize(from: given, count: count)
        defer { events.deallocate() }
        isDelivering = true
        defer { isDelivering = false }
        var start = 0
        while start < count {
            // The first `jobs` readers from `start` on have one each, in order.
            var jobs = 0, end = start
            while end < count && jobs < IOThreads.capacity {
                if let connection = reader(events[end]), connection.plansRead(threads, jobs) { jobs += 1 }
                end += 1
            }
            if isWorthwhile(jobs, threads) {
                threads.run(threads.reads, jobs)
                traffic.pointee.statistics.threadedReads += jobs
                lastThreadedRound = engine.keyspace.now
            } else {
                forgetPlans(events, start..<end)
            }
            for index in start..<end {
                threads.undelivered = .init(start: events + index + 1, count: end - index - 1)
                loop.deliver(events[index])
            }
            threads.undelivered = nil
            // One that was closed, or is not listened to any more, has not asked for its outcome.
            forgetPlans(events, start..<end)
            start = end
        }
    }

    private func forgetPlans(_ events: UnsafeMutablePointer<epoll_event>, _ range: Range<Int>) {
        for index in range { reader(events[index])?.readAhead = nil }
    }

    /// In the middle of a script: clients whose turn in the round is yet to come, and whose input is read already, so
    /// that the kernel tells no more of it. The events' own turn comes to nothing then.
    func deliverReadAhead() {
        guard let threads = ioThreads, let events = threads.undelivered else { return }
        for event in events {
            if let connection = reader(event), connection.readAhead != nil, !connection.rests { loop.deliver(event) }
        }
    }

    /// The client that the event makes read; nil: it is something else.
    private func reader(_ event: epoll_event) -> Connection? {
        guard LoopEvents(rawValue: event.events).contains(.read), let source = loop.source(event),
              source.isClient else { return nil }
        return unsafeDowncast(source, to: Connection.self)
    }

    // MARK: Writing

    /// Has `flush` called for each of `count` connections, when what they can send is sent.
    func flushTogether(_ threads: IOThreads, _ count: Int, at place: (Int) -> Connection, flush: (Connection) -> Void) {
        var start = 0
        while start < count {
            var jobs = 0, end = start
            while end < count && jobs < IOThreads.capacity {
                if place(end).plansWrite(threads, jobs, engine.acknowledged) { jobs += 1 }
                end += 1
            }
            let isShared = isWorthwhile(jobs, threads)
            if isShared {
                threads.run(threads.writes, jobs)
                traffic.pointee.statistics.threadedWrites += jobs
                lastThreadedRound = engine.keyspace.now
            }
            for index in start..<end {
                let connection = place(index)
                if !isShared { connection.writeAhead = nil }
                flush(connection)
                connection.writeAhead = nil
            }
            start = end
        }
    }
}

extension Connection {
    /// Makes job number `index` of what it would read now; false: it would not read.
    func plansRead(_ threads: IOThreads, _ index: Int) -> Bool {
        guard isOpen, !rests, interest.contains(.read) else { return false }
        let job = threads.reads + index
        job.pointee.kind = .read
        job.pointee.descriptor = descriptor
        job.pointee.stream = stream
        let room = pendingInput > 0 ? roomBehindInput() : UnsafeMutableRawBufferPointer(
            start: threads.buffer(index), count: Self.sharedReadBytes)
        guard let start = room.baseAddress else { return false }
        job.pointee.bytes = start
        job.pointee.count = room.count
        job.pointee.parses = pendingInput == 0 && parser.isIdle
        readAhead = job
        return true
    }

    /// Makes job number `index` of what it would write now; false: it would not write.
    func plansWrite(_ threads: IOThreads, _ index: Int, _ acknowledged: LogOffset) -> Bool {
        guard isOpen, !isKilled, !rests, !awaitsRoom else { return false }
        let end = releasable(acknowledged)
        guard end > session.sentCount else { return false }
        let job = threads.writes + index
        job.pointee.kind = .write
        job.pointee.descriptor = descriptor
        job.pointee.stream = stream
        job.pointee.bytes = session.output.pointee.base + session.sentCount
        job.pointee.count = end - session.sentCount
        writeAhead = job
        return true
    }

    /// A read or write that is not a system call of its own: done already, or over TLS.
    func takeSpecially(_ buffer: UnsafeMutableRawPointer, _ room: Int) -> Int {
        if let job = readAhead {
            readAhead = nil
            if let stream { return noteTaken(stream, job.pointee.outcome) }
            if job.pointee.outcome < 0 { errno = job.pointee.code }
            return job.pointee.outcome
        }
        guard let stream else { return read(descriptor, buffer, room) }
        return noteTaken(stream, sr_tls_read(stream, buffer, room))
    }

    func giveSpecially(_ bytes: UnsafeRawPointer, _ count: Int) -> Int {
        if let job = writeAhead {
            writeAhead = nil
            if stream != nil { return noteGiven(job.pointee.outcome) }
            if job.pointee.outcome < 0 { errno = job.pointee.code }
            return job.pointee.outcome
        }
        guard let stream else { return send(descriptor, bytes, count, Int32(MSG_NOSIGNAL)) }
        return noteGiven(sr_tls_write(stream, bytes, count))
    }
}
