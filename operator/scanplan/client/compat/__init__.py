"""Names of the first, in-process version of the library, kept for its users: see `docs/migration.md`."""
