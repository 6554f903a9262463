"""How the benchmarks measure, store, print and draw: pace, memory, profiles, pages and plots."""
