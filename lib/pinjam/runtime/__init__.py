"""Settings, the composition root, the HTTP and event edges, logs, the OpenAPI documents."""

import gc
import os

# pydantic would look for plugins among all that is installed, as soon as the first model is built. There are none.
os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")

# What was loaded so far, the framework with its libraries, lives as long as the process. Left to itself the collector
# goes through all of it once more while our own code is loaded, which is a tenth of a start.
gc.freeze()
