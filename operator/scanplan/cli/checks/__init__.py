"""What `scanplan doctor` looks at, a module for each part of a cluster. A check says what it saw, and what to do about it."""
