"""What tools/fuzz is made of: `target` (a server under fire), `files` (damage to what is on the disk), `sealed`
(damage to sealed logs, whose every state is known), `dialects` (the check tools on other servers' dumps), and
kinds of what goes over a socket: `protocol`, `forms` (all commands), `fields` (geo, bitfields), `payloads`,
`access`, `settings`."""
