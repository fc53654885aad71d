"""A small network that mends the closed form's mouth and lids: trained and judged here; nothing that serves imports it.

`docs/refiner.md` says what was tried, and what came out.
"""
