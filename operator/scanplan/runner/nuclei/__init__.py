"""Nuclei as a program: its command line, its output, its exit codes, and what it does silently."""
