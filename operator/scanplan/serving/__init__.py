"""HTTP servers with bounded connections, for the API and the operator's own ports; start reading at `server`."""
