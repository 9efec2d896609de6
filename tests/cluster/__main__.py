"""The command line of `tests.cluster`."""

import argparse
import os
import signal
import sys
import time
from pathlib import Path
from typing import NoReturn

from tests import cluster
from tests.cluster.errors import ClusterError, NotUpError
from tests.cluster.local import binaries
from tests.console import console

DESCRIPTION = """\
Kubernetes clusters for this project's tests and demo.

  python -m tests.cluster up --name dev                 a node, ready in about five seconds
  export KUBECONFIG=$(python -m tests.cluster kubeconfig --name dev)
  python -m tests.cluster load --name dev image.tar     an OCI archive, for pods with imagePullPolicy: Never
  python -m tests.cluster down --name dev               nothing of it stays behind
"""

PROVIDERS = """\
providers:
  auto      kind where a Docker engine answers and kind is on PATH, else local
  local     a whole real Kubernetes in namespaces of its own; needs root. The first start builds its programs from
            source with Go, which takes minutes; `build` does that ahead.
  kind      https://kind.sigs.k8s.io
  existing  a cluster of yours, only with --context; `down` leaves it as it is
"""

EXIT_CODES = """\
exit codes (sysexits.h):
  0 done; 64 wrong use; 69 something is missing or not up; 70 a part failed, its log is shown;
  73 the name is taken; 75 busy, try again; 77 needs root
"""


class Parser(argparse.ArgumentParser):
    """An argument parser that ends wrong use with the sysexits code for it."""

    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        self.exit(os.EX_USAGE, f"{self.prog}: {message}\n")


def parser() -> Parser:
    top = Parser(
        prog="python -m tests.cluster",
        description=DESCRIPTION,
        epilog=f"{PROVIDERS}\n{EXIT_CODES}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    named = Parser(add_help=False)
    named.add_argument("--name", default="dev", help="the cluster's name (default: dev)")

    up = commands.add_parser(
        "up",
        parents=[named],
        help="start a cluster, and wait until it is ready",
        epilog=PROVIDERS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    up.add_argument("--provider", choices=("auto", "local", "kind", "existing"), default="auto", help="see below")
    up.add_argument(
        "--control-plane-only",
        action="store_true",
        help="API server, etcd, controllers; pods stay Pending (local only)",
    )
    up.add_argument("--reuse", action="store_true", help="take a running cluster of that name as it is")
    up.add_argument("--context", help="existing: the context that names the cluster")
    up.add_argument("--kubeconfig", type=Path, help="existing: the file with that context (default: kubectl's)")

    down = commands.add_parser("down", parents=[named], help="end a cluster, and remove all of it")
    down.add_argument("--all", action="store_true", help="end all clusters of this user")
    commands.add_parser("list", help="show this user's clusters")
    load = commands.add_parser("load", parents=[named], help="load images of OCI archives into a cluster")
    load.add_argument("archives", type=Path, nargs="+", metavar="ARCHIVE")
    commands.add_parser("kubeconfig", parents=[named], help="print the path of a cluster's kubeconfig")
    logs = commands.add_parser("logs", parents=[named], help="copy the logs of a cluster's components and pods")
    logs.add_argument("folder", type=Path, metavar="FOLDER")
    commands.add_parser("build", help="build the local provider's programs, and print their folders")
    return top


def run(arguments: argparse.Namespace) -> None:
    match arguments.command:
        case "up":
            made = cluster.up(
                arguments.name,
                arguments.provider,
                control_plane_only=arguments.control_plane_only,
                reuse=arguments.reuse,
                context=arguments.context,
                kubeconfig=arguments.kubeconfig,
            )
            console.print(f"export KUBECONFIG={made.kubeconfig}", markup=False)
        case "down":
            names = [found.name for found in cluster.clusters()] if arguments.all else [arguments.name]
            for name in names:
                if found := cluster.find(name):
                    found.down()
        case "list":
            for found in cluster.clusters():
                what = "control plane" if found.record.control_plane_only else "cluster"
                minutes = (time.time() - found.record.created) / 60
                life = "dead" if not found.alive else "starting" if found.record.starting else "running"
                print(f"{found.name}\t{found.record.provider} {what}\t{life}\t{minutes:.0f} min\t{found.kubeconfig}")
        case "load":
            known(arguments.name).load_image(*arguments.archives)
        case "kubeconfig":
            print(known(arguments.name).kubeconfig)
        case "logs":
            known(arguments.name).dump_logs(arguments.folder)
        case "build":
            print(*binaries.folders((*binaries.MODULES, *binaries.ADDED)), sep="\n")


def known(name: str) -> cluster.Cluster:
    if found := cluster.find(name):
        return found
    raise NotUpError(f"there is no cluster “{name}” (python -m tests.cluster up --name {name})")


def main() -> int:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        run(parser().parse_args())
    except ClusterError as error:
        console.print(f"✗ {error}", markup=False, style="red")
        return error.exit_code
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    return os.EX_OK


if __name__ == "__main__":
    sys.exit(main())
