"""`livesnn bench`: what this machine does with livesnn. Benchmarks against other libraries: tests/benchmarks/."""
