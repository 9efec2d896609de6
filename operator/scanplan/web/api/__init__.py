"""The HTTP API: who may call it, its OpenAPI document, and how it reports errors."""
