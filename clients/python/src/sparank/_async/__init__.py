"""The asynchronous client. The other one, in _sync, is made from it by make_sync.py."""
