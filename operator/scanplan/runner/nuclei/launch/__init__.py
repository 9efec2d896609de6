"""What Nuclei is started with: its options, its credentials, and the machine that it runs on."""
