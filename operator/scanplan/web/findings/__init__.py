"""The findings view: what is open in a project across its runs, filtered and sorted on the server.

`published` says which results a project has. `indexes` reads their histories once, into an `index` that answers queries. `projects`
brings them together, and `view` has the handlers. Nothing is written to the cluster.
"""
