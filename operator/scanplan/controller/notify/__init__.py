"""The controller of ScanNotifiers. Start at `notifiers`."""
