"""The command line: one program that starts the operator, the API and workers, and has the commands for people."""
