"""The commands, as processes against a real cluster."""
