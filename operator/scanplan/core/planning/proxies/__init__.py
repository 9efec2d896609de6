"""Proxies of scans: whether a plan may use one (`choice`), where it is (`place`), and what goes past it (`no_proxy`)."""
