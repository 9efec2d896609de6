"""HTTP servers with bounds, for the API and for the operator's own ports; begin with `server`."""
