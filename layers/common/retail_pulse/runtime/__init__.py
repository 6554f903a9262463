"""What every function needs at run time: settings, logs, metrics and garbage collection."""
