"""Questions that clients' tools already ask other gateways ("what is left on this key?"), answered from our ledger.

Read-only, in the shapes those tools read: the old OpenAI billing pages as One API and New API kept them, New API's own user
side, OpenRouter's key and credits, OpenAI's organisation usage. Who asks is the API key that is sent; it sees its own
payer and nobody else.
"""
