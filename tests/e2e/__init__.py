"""End to end: real pods on a real node, and the operator installed as its users install it."""
