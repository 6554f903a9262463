"""What AWS does around a handler: loading, context, events, polling, environment and table."""
