"""The page: its files, and the stream of ScanPlans that it shows."""
