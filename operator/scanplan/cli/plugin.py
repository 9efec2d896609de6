"""``kubectl scanplan``: the same program under the name that kubectl looks for.

kubectl runs a program called ``kubectl-scanplan`` on PATH (https://kubernetes.io/docs/tasks/extend-kubectl/kubectl-plugins/). Help
and errors then name the command that was typed.
"""

from __future__ import annotations

from scanplan.cli.main import app


def main() -> None:
    """Entry point of the console script."""
    app(prog_name="kubectl scanplan")
