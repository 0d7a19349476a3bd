"""A pool for a LiteLLM proxy's config.yaml: no Python of one's own.

::

    litellm_settings:
      custom_provider_map:
        - {provider: hotspare, custom_handler: litellm_hotspare.proxy.handler}

The pool is read from the file that the environment variable HOTSPARE_CONFIG names, else from `hotspare.toml` in the
working directory, when the proxy starts: a mistake in it stops the proxy there, with every mistake named.
"""

import os

from hotspare import Pool

from litellm_hotspare.provider import HotspareLLM

handler = HotspareLLM(Pool.from_config(os.environ.get("HOTSPARE_CONFIG") or "hotspare.toml"))
"""The CustomLLM that `custom_handler` names."""
