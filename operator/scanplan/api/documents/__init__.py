"""The documents between operator and runner."""
