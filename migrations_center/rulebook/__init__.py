"""The old gateways' rules as pure functions of their records: no database, no clock."""
