import Server

do {
    try ServerMain.run(Array(CommandLine.arguments.dropFirst()))
} catch {
    print("\(error)")
}
