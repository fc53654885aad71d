"""A real Chromium against the real server: the harness, the probe inside the page, and what both measured."""
