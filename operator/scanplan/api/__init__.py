"""The product's words: resource models, wire documents, names, conditions, exit codes and errors.

Everything else imports from here, and this package imports nothing of ours. Models of the Kubernetes resource are
pydantic (the CRD is generated from them); documents on the scan path are msgspec structs, because they are read in
every scan pod, where start-up time and memory count.
"""
