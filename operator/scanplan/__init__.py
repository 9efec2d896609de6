"""ScanPlan operator: Nuclei at the scale of a cluster, one Kubernetes Job per idempotent task key.

``api`` holds the words (models, names, reasons), ``core`` decides (pure functions over values), and the other rooms act:
``controller`` (the operator), ``runner`` (the program in the scan pod), ``client``, ``web`` and ``cli``. docs/architecture.md shows
them all.
"""

__version__ = "0.1.0"
