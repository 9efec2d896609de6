"""Where messages and exports may go: what the owner allows, and what is refused whatever the owner says. Start at `policy`."""
