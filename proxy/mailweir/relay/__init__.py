"""One conversation between a client and an upstream server, in the words of the RFC.

A relay is a synchronous state machine: one method a verb, states in one table, no reactor inside. It is
handed octets from its two sides and writes octets to them; the chain answers at once as long as the
plugins do, and only when one returned something awaitable does the slot, and all behind it, wait.

Read in this order:

- `side`: the two ends as a relay sees them, and what `net` calls on a relay
- `ledger`: commands that await their answer; keeps pipelined answers in order
- `rules`: what the listener's configuration tells a relay
- `direction`, `patience`: reading one side until something holds it; how long silence is borne
- `duties`: what each protocol must say for itself
- `conversation`: what the four relays share: dialling, asking, holding, ending
- `carry`: one message through the chain, streamed or spooled
- `sasl`: which mechanisms work through a proxy, and what can be read of them
- `tally`: what is counted, in the same words for all protocols
- `smtp/`, `pop3/`, `imap/`: a file for each phase or family of commands; LMTP is SMTP with a row of differences

Must not know: sockets, the reactor, configuration files.
"""
