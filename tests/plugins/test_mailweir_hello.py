"""The example does what it says, asked directly and on the wire."""

import mailweir_hello
from mailweir.testing.weir import Weir


def test_every_message_is_greeted(weir: Weir) -> None:
    message = weir.message("From: a@example.org\n\nHello.\n")
    assert weir.plug(mailweir_hello).ask("message_head", message=message) is None
    assert (
        b"".join(message.pieces()) == b"X-Hello: mailweir was here\r\nFrom: a@example.org\r\n\r\nHello.\r\n"
    )
