"""An upstream that follows a script, OpenAI- and Anthropic-compatible, for the demo, the tests and the benchmark.

Run: ``python -m gateway.demo_upstream --port 9100``. See ``script`` for what a call can ask for.
"""
