"""Builders of manifests: the Job, its pod template, and the ConfigMaps of a long task document."""
