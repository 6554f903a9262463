"""The rules: jobs, chunks, outcomes, retries and keys, in terms of the standard library only."""
