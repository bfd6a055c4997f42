"""tools/compat: what surrounds random commands, and what a run of it covers."""
