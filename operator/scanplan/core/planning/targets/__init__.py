"""Endpoints, and what may be scanned at all."""
