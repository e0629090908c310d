"""The keeper's window: metrics, health, readiness. Read-only; knows no relay's insides."""
