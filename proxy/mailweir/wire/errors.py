"""What is raised when a side breaks the rules of its protocol."""


class ProtocolError(Exception):
    """A peer said what it may not say.

    The error knows the words it deserves: `text` goes into the reply, `code` and `status` are those of
    SMTP (RFC 5321 4.2, RFC 3463). `fatal`: framing is lost, the session can only end.
    """

    def __init__(self, text: str, code: int = 500, status: str = "5.5.2", *, fatal: bool = False) -> None:
        super().__init__(text)
        self.text = text
        self.code = code
        self.status = status
        self.fatal = fatal


class LineTooLong(ProtocolError):
    """A line passed its limit; it was skipped to its end, and reading may go on behind it."""

    def __init__(self, limit: int) -> None:
        super().__init__("line too long")
        self.limit = limit
