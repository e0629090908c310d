"""`mailweir demo`: the whole journey of a message on one machine, with embedded servers only.

- `servers`: two MTAs, an LMTP sink and a POP3 server, in a process of their own; the mailbox is pymap's
- `world`: a temporary folder with keys, certificate and configuration; the processes, and their ends
- `story`: a message travels, is told about, and every step is checked

Nothing here is needed by the proxy; the story uses Python's own mail clients and the real `mailweir run`.
"""

from mailweir.app.demo.story import main

__all__ = ["main"]
