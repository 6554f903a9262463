"""Images for the demo, the tests and the benchmarks: how they are made, and a server that misbehaves on demand."""
