"""The plugins of one listener: loading, order, deadlines, failure policy, shadow mode.

Read in this order:

- `plug`: a plugin under its name, and what guards it: the gate (`max_concurrency`) and the fuse (`breaker`)
- `chain`: who listens to what, asking and telling
- `asking`: one question on its way along the plugins; `call`: one answer that takes time
- `judge`: what an answer or a failure comes to; `shadow`: the copies that a plugin in shadow mode gets
- `driver`: awaitables of both worlds, asyncio's and Twisted's
- `loader`: a name or a path becomes a plugin, with `files`, `settings`, `links` (its hooks, checked) and
  `mistakes` (what is said when something is wrong)
- `trace`: MAILWEIR_TRACE=1

Knows no protocol. Whatever a plugin does wrong ends here: at the start as one sentence, later as the answer
that the keeper configured.
"""
