/// Who may do what.
extension Directives {
    static var security: [Directive] { [
        .text("aclfile", \.aclfile, [.immutable]),
        .text("requirepass", \.requirepass, [.sensitive]),
        .choice("acl-pubsub-default", \.aclPubsubDefault),
        .choice("enable-protected-configs", \.enableProtectedConfigs, [.immutable]),
        .choice("enable-debug-command", \.enableDebugCommand, [.immutable]),
        .choice("enable-module-command", \.enableModuleCommand, [.immutable]),
        .integer("acllog-max-len", \.acllogMaxLen, 0...unbounded),
    ] }
}
