import Commands
import Engine
import Primitives
#if canImport(Glibc)
import Glibc
#endif

extension Configuration {
    /// Reads what the command line names: a file, standard input, directives.
    func load(_ commandLine: CommandLineArguments, _ table: CommandTable) throws(ConfigurationFileError) {
        if let path = commandLine.file { file = WorkingDirectory.absolute(path) }
        let text = try commandLine.text(
            readFile: { path throws(ConfigurationFileError) in try ConfigurationReader.contents(path) },
            readStandardInput: { () throws(ConfigurationFileError) in
                try ConfigurationReader.contents(STDIN_FILENO, "-")
            })
        let rules = RuleReader(table, allChannels: false)
        let reader = ConfigurationReader(self, isCommand: { name in
            var name = name
            return name.withUTF8 { table.find(Bytes($0)) != nil }
        }, refusalOfUser: { words in
            do throws(UserLineError) { _ = try rules.define(words) } catch { return error.text }
            return nil
        })
        try reader.read(text)
    }
}
