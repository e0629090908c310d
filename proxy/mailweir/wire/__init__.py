"""Octets <-> events, one module a protocol. Pure: no Twisted, no clock, no plugins, no other side.

A reader is fed what came from one side and gives events in the order they stand in the stream:

    reader.feed(data)
    while (event := reader.next()) is not None: ...

Every event gives back its exact octets (`raw`); heads are bounded, bulk data comes in the pieces it
arrived in and is never collected here. What the next octets mean is sometimes decided by the *other*
side's answer (354, `+`, 334); the relay then tells the reader, which never guesses. `rest()` hands over
what was fed and not yet read when the meaning changes for good (TLS, splice).

Read `errors` and `buffer` first, `dots` for the text of a message, then the protocol you came for.
"""
