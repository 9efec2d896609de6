"""Which templates a scan runs, by what their files say."""
