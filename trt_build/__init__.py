"""From the engine's networks to graphs and engines for other runtimes."""
