import Commands
import Primitives
import Storage
import TestSupport

/// The calls of a scenario that change the disk, one a line: create, write with its bytes, sync, rename, syncdir … A
/// call that is missing, or comes in another order, shows in a review of Fixtures/traces.
package enum GoldenTrace {
    package static func text(_ scenario: Scenario, _ table: CommandTable) throws -> String {
        let simulation = Simulation(scenario.settings, table)
        try scenario.prepare(simulation)
        simulation.disk.clearEvents()
        try scenario.run(simulation)
        let lines = simulation.disk.events.map(normal)
        simulation.server?.abandon()
        return lines.joined(separator: "\n") + "\n"
    }

    /// Without what differs from run to run: process ids, and the sizes of dumps (they hold the memory used).
    private static func normal(_ line: String) -> String {
        var words = line.split(separator: " ").map { word in
            FilePath.name(String(word)).hasPrefix("temp-") ? withoutNumber(String(word)) : String(word)
        }
        if words.first == "write", words.count == 3, words[1].contains("temp-"), !words[1].contains("manifest") {
            words[2] = "N"
        }
        return words.joined(separator: " ")
    }

    private static func withoutNumber(_ path: String) -> String {
        var result = "", isNumber = false
        for character in path {
            if character.isNumber {
                if !isNumber { result += "PID" }
                isNumber = true
            } else {
                result.append(character)
                isNumber = false
            }
        }
        return result
    }
}
