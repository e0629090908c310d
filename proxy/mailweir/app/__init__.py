"""Puts it together; the only folder that knows everybody.

- `config`: the configuration as frozen models; `values` has sizes, durations and addresses
- `reading`: one YAML file becomes a `Configuration`, or everything that is wrong with it, each mistake as
  `file:line:column: key: reason`. `document` knows places, `checks` what only the whole can tell,
  `certificates` and `plugging` what files and plugins say about themselves
- `cli`: run, check, plugins, demo; `show` prints
- `service`: the running program, and its signals; `generation` is what one reading of the configuration
  became, `doors` the ports where it serves, `reactor` what the process runs on, `lag` how late it is
- `demo`: a message's whole journey, with servers that come along
"""
