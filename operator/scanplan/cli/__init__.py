"""The command line: one program for the operator's process and for people."""
