"""What plugin authors, and our own tests, use to play conversations: no sockets, no reactor, no sleeping.

- `plugin`: the pytest fixture `weir`; `weir`: what it gives, one question or one conversation at a time
- `play`: a written conversation, played against a relay between two `sides` that keep what they hear
- `loop`: asyncio on a clock that only the test turns
"""
