"""How the benchmarks measure: pace, memory, profiles, and what is kept, printed and drawn."""
