"""Artifacts and reports over HTTP, from a mounted claim or through a pod that reads it."""
