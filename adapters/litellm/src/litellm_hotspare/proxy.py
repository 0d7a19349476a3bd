"""A pool for a LiteLLM proxy, configured in its config.yaml.

::

    litellm_settings:
      custom_provider_map:
        - {provider: hotspare, custom_handler: litellm_hotspare.proxy.handler}

The pool is read when the proxy starts, from the file in the environment variable HOTSPARE_CONFIG, else from
`hotspare.toml` in the working directory. A mistake in the file stops the proxy with a ConfigError that names every mistake.
"""

import os

from hotspare import Pool

from litellm_hotspare.provider import HotspareLLM

handler = HotspareLLM(Pool.from_config(os.environ.get("HOTSPARE_CONFIG") or "hotspare.toml"))
"""The value of `custom_handler`."""
