"""Generators from the models: the CustomResourceDefinition, the reference page, and the check for unknown fields."""
