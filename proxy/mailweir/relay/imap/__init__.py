"""IMAP (RFC 3501, RFC 9051): one conversation, framed exactly and understood as far as it must be.

Read in this order:

- `words`: what we say ourselves
- `table`: commands that await their completion, which may come out of order
- `base`: what all families of commands share; `literals`: how a command with literals goes up
- `capability`: what is offered, one table and one function; `commands`: what is known, and what a command needs
- `opening`, `login`, `append`, `identity`, `idle`, `starttls`: a family each
- `relay`: who gets which event
"""
