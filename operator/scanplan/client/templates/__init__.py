"""Data-only OCI images of templates: from a release or a folder, checked, indexed, reproducible, and pushed to a registry."""
