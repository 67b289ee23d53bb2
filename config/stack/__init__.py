"""The whole portal on one machine: finds or starts PostgreSQL and Valkey, keeps the demo's secrets, watches the processes.

For a laptop, a demo and the tests. In production ``DATABASE_URL`` and ``REDIS_URL`` point at servers of your own and a
service manager starts the processes that ``config.stack.processes`` lists.
"""
