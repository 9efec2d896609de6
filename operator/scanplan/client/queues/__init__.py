"""Task queues behind one interface (`base.py`): local, Kubernetes, Redis, and the Redis worker."""
