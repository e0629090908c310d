"""Sockets <-> octets. With `admin` and `app` the only folder that touches the reactor.

- `transport`: the adapter, Twisted's transport interface on the loop's own transports
- `connection`: one Twisted protocol = one Side: octets in, octets out, back-pressure
- `addresses`: as people write them, as sockets tell them; `ports`: they become listening sockets
- `listener`: each client becomes a session with a relay; `register`: who is connected, and who may come
- `upstream`: reach the real server, in time, or say why not
- `tls`: TLS on a connection, and whom we believe; `certificates`: what we show to clients, on which terms
- `handshake`: what was agreed, or why nothing was

Must not know what a command means; of `relay` it imports the `side` interface only.
"""
