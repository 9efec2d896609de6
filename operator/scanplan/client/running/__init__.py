"""Findings of a scan that goes on: read from its attempts' folders, shown before anything is published."""
