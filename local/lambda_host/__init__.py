"""What AWS does around a handler: loading, context, events, polling, variables and table."""
