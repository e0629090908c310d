"""The smallest plugin that changes something: every message says that it came by."""

from mailweir import Message, hookimpl


@hookimpl
def message_head(message: Message) -> None:
    message.headers.add("X-Hello", "mailweir was here")
