"""What can go wrong with a cluster.

    ClusterError              exit code (sysexits.h)
    ├── NeedsRootError        77  it takes root
    ├── MissingError          69  a program or package is not there
    ├── BuildError            70  a binary could not be built
    ├── AlreadyUpError        73  the name is taken
    ├── NotUpError            69  no such cluster
    ├── BusyError             75  another process is starting or stopping it; try again
    ├── UnsupportedError      64  this provider can't do that
    └── StartError            70  a part did not become ready; its log is in the message

Each message says what to do next.
"""

import os


class ClusterError(Exception):
    """Something that the user of a cluster has to know. `exit_code` is what the command line ends with."""

    exit_code = os.EX_SOFTWARE


class NeedsRootError(ClusterError):
    """The provider needs rights that this user doesn't have."""

    exit_code = os.EX_NOPERM


class MissingError(ClusterError):
    """A program that the provider needs is not installed."""

    exit_code = os.EX_UNAVAILABLE


class BuildError(ClusterError):
    """The Go toolchain could not build one of the binaries."""


class AlreadyUpError(ClusterError):
    """A cluster of that name exists."""

    exit_code = os.EX_CANTCREAT


class NotUpError(ClusterError):
    """There is no cluster of that name, or it has died."""

    exit_code = os.EX_UNAVAILABLE


class BusyError(ClusterError):
    """Another process is starting or stopping the cluster."""

    exit_code = os.EX_TEMPFAIL


class UnsupportedError(ClusterError):
    """The provider can't do what was asked."""

    exit_code = os.EX_USAGE


class StartError(ClusterError):
    """A part of the cluster did not become ready. The message ends with the last lines of its log."""
