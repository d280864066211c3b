"""Settings, composition, the HTTP and event edges, logging, OpenAPI."""
