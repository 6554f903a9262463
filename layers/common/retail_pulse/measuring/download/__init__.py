"""An image over HTTP: who may be called, connections, bounded responses, and one deadline."""
