#if canImport(Glibc)
import Glibc
#endif

enum Logo {
    static func text(mode: String, port: Int) -> String {
        """

                   __
               .--'  `-.         swift-redis (Redis \(ServerVersion.redis)) \(Int.bitWidth) bit
              (   .--.  \\
               `-'    \\  |       Running in \(mode) mode
             ___      | /        Port: \(port)
             \\  `--.__/ `-._     PID: \(getpid())
              `-._       ___>
                  `-----'


        """
    }
}
