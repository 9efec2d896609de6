"""What can go wrong with a cluster.

    ClusterError                 exit code (sysexits.h)
    ├── NotAllowed               77  it needs root
    ├── Missing                  69  a program or package is not there
    ├── BuildFailed              70  a binary could not be built
    ├── AlreadyUp                73  the name is taken
    ├── NotUp                    69  no such cluster
    ├── Busy                     75  another process is starting or stopping it; try again
    ├── Unsupported              64  this provider can't do that
    └── StartFailed              70  a part did not become ready; its log is in the message

Each message says what to do next.
"""

from __future__ import annotations

import os


class ClusterError(Exception):
    """Something that the user of a cluster has to know. `exit_code` is what the command line ends with."""

    exit_code = os.EX_SOFTWARE


class NotAllowed(ClusterError):
    """The provider needs rights that this user doesn't have."""

    exit_code = os.EX_NOPERM


class Missing(ClusterError):
    """A program that the provider needs is not installed."""

    exit_code = os.EX_UNAVAILABLE


class BuildFailed(ClusterError):
    """The Go toolchain could not build one of the binaries."""


class AlreadyUp(ClusterError):
    """A cluster of that name exists."""

    exit_code = os.EX_CANTCREAT


class NotUp(ClusterError):
    """There is no cluster of that name, or it has died."""

    exit_code = os.EX_UNAVAILABLE


class Busy(ClusterError):
    """Another process is starting or stopping the cluster."""

    exit_code = os.EX_TEMPFAIL


class Unsupported(ClusterError):
    """The provider can't do what was asked."""

    exit_code = os.EX_USAGE


class StartFailed(ClusterError):
    """A part of the cluster did not become ready. The message ends with the last lines of its log."""
