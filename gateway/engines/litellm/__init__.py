"""The LiteLLM proxy as a data plane: ``portal_litellm`` is imported by the proxy's own process, never by the portal's."""
