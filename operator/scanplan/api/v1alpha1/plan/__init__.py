"""Parts of a ScanPlan's spec, one module each. `scanplan` puts them together; schedules and `scan_defaults` take some of them."""
