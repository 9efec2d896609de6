"""What is told of scans that have ended: the decision about one ScanNotifier, and its messages. Start at `outbox`."""
