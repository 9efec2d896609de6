"""Shared vocabulary of all parts: resource models, wire documents, names, conditions, exit codes and errors.

Every other package imports from here; this package imports no other package of ours. Models of the Kubernetes resource are
pydantic models, and the CRD is generated from them. Documents on the scan path are msgspec structs, because every scan pod reads
them, and start-up time and memory count there.
"""
