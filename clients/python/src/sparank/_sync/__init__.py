# Made from ../_async/__init__.py by make_sync.py.
"""The asynchronous client. The other one, in _sync, is made from it by make_sync.py."""
