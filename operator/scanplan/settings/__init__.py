"""Settings from environment variables: how they are read, and what several programs have in common.

`loading` reads a model of settings and names every wrong variable. `fields` has the types of lists and quantities. `pod_bounds` has
the settings that all makers of pods share. Each program has its own model: `controller/settings.py`, `web/settings.py`,
`client/settings.py` and `client/redis/publication.py`.
"""
