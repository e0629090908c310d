"""SMTP, submission and LMTP: one relay, a file for each phase (RFC 5321, 2033).

- `relay`: which verb goes where, and what is said when something fails
- `talk`: what all phases use: slots, turns, local answers, saying goodbye
- `dialect`: the differences between SMTP and LMTP, one row each
- `mail`: one transaction, as upstream and the client each believe it to stand
- `opening`: from the connection to the client's first command; STARTTLS on both legs
- `redial`: another upstream for the same session
- `timers`: how long each wait may last; `limits`: what one session may do to us
- `envelope`: EHLO, HELO, LHLO, MAIL, RSET; `rcpt`: RCPT
- `requests`: MAIL and RCPT as upstream is asked; `replay`: asked again, when plugins have changed more
- `errand`: commands of ours
- `data`, `bdat`, `burl`: the text as the client sends it; `screen`: what it may consist of; `ending`: its final replies
- `intake`, `sending`: a text that doesn't leave as it came, from there to upstream
- `auth`: the SASL dialogue
- `other`: all other verbs, and those we don't know
- `offer`: the keywords of EHLO, a row each
- `words`: how verdicts and our own errors are said
"""
