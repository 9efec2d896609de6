"""What a scan has covered, and why it ended: from what Nuclei sent and said, and from questions of our own."""
