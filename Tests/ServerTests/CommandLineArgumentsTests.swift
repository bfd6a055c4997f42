import Testing
@testable import Server

struct CommandLineArgumentsTests {
    private func configuration(_ arguments: String..., input: String = "") throws -> Configuration {
        let commandLine = CommandLineArguments(arguments)
        let configuration = Configuration()
        let text = try commandLine.text(readFile: { _ in Array("hz 77\nport 1\n".utf8) },
                                        readStandardInput: { Array(input.utf8) })
        try ConfigurationReader(configuration).read(text)
        return configuration
    }

    @Test func severalValuesAndDirectives() throws {
        let configuration = try configuration("--port", "7000", "--save", "900", "1", "--bind", "127.0.0.1", "-::1")
        #expect(configuration.port == 7000)
        #expect(configuration.saveParameters == [SaveParameter(seconds: 900, changes: 1)])
        #expect(configuration.bind == [BindAddress(host: "127.0.0.1", isOptional: false),
                                       BindAddress(host: "::1", isOptional: true)])
    }

    @Test func nameAndValueInOneArgument() throws {
        let configuration = try configuration("--port 7000", "--hz 30\nmaxmemory 5", "--loglevel", "verbose")
        #expect(configuration.port == 7000)
        #expect(configuration.hz == 30)
        #expect(configuration.maxmemory == 5)
        #expect(configuration.loglevel == .verbose)
    }

    @Test func aValueMayBeginWithDashes() throws {
        let configuration = try configuration("--requirepass", "--secret", "--port", "7000")
        #expect(configuration.requirepass == "--secret")
        #expect(configuration.port == 7000)
    }

    @Test func saveWithoutValueTurnsSnapshotsOff() throws {
        #expect(try configuration("--save", "").saveParameters.isEmpty)
        #expect(try configuration("--save").saveParameters.isEmpty)
        let configuration = try configuration("--save", "--port", "7000")
        #expect(configuration.saveParameters.isEmpty)
        #expect(configuration.port == 7000)
    }

    @Test func argumentsOverrideTheFileAndStandardInput() throws {
        let first = try configuration("/x/redis.conf", "--port", "7000")
        #expect(first.port == 7000)
        #expect(first.hz == 77)
        let second = try configuration("/x/redis.conf", "-", input: "port 9\n")
        #expect(second.port == 9)
        #expect(try configuration("-", "--port", "3", input: "port 9\nhz 5\n").port == 3)
    }

    @Test func questionsAboutTheProgram() {
        #expect(CommandLineArguments(["--version"]).request == .version)
        #expect(CommandLineArguments(["-v"]).request == .version)
        #expect(CommandLineArguments(["-h"]).request == .help)
        #expect(CommandLineArguments(["--check-system"]).request == .checkSystem)
        #expect(CommandLineArguments(["--test-memory", "10"]).request == .testMemory)
        #expect(CommandLineArguments([]).request == .serve)
    }
}
