"""POP3 (RFC 1939, 2449, 2595, 5034, 6856) between a mail program and a mailbox server.

Read in this order:

- `commands`: which verbs there are, and how each is answered
- `exchange`: one command and its reply, the ordinary kinds
- `talk`: the session's base: sending, answering in order, waiting for one's turn, ending
- `opening`: greeting, and TLS towards upstream
- `login`: USER, PASS, APOP, AUTH
- `capa`: what clients are offered
- `retr`: messages through the chain
- `xtnd`: the message that XTND XMIT sends
- `relay`: the verbs put together
- `words`: what we say ourselves
"""
