"""ScanPlan operator: Nuclei at the scale of a cluster, one Kubernetes Job per idempotent task key.

``api`` holds the words (models, names, reasons), ``core`` decides (pure functions over values), and ``shell``
(kopf and the API server), ``runner`` (the program in the scan pod) and ``cli`` do.
"""

__version__ = "0.1.0"
