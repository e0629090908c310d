"""The same servers and proxies as in end2end."""

from end2end.conftest import house, papers, place, start, users

__all__ = ["house", "papers", "place", "start", "users"]
