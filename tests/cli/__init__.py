"""The commands: as processes against a real cluster, and on folders of this machine."""
