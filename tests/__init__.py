"""The project's tests, and the tooling that they and the demo share."""
