"""Reports, read by programs that are not ours: a JSON schema, a spreadsheet's reader, a browser."""
