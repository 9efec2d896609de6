"""Endpoints that objects of the cluster name: which objects a plan selects, and what each of them names."""
