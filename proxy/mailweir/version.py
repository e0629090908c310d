"""The version of mailweir, said once: setup.cfg and `mailweir --version` read it here."""

VERSION = "0.1.0"
