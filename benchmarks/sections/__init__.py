"""The sections of docs/performance.md and docs/scaling.md, one module for each."""
