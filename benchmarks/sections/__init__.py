"""The sections of docs/performance.md, docs/measurements.md and docs/scaling.md, one module for each."""
