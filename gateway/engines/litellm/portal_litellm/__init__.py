"""Makes a LiteLLM proxy a data plane of the portal: keys and models from there, decisions from there, usage reported there.

Needs only what ``litellm[proxy]`` brings. Put the folder above this one on PYTHONPATH and name the hooks in the proxy's
configuration (README.md).
"""

VERSION = "1.0"
