"""What a plan asks of Nuclei, and what of it is in the key."""
