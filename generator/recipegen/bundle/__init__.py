"""Bundles: one archive that proves a headline. Owns the format recipegen-bundle/1 (docs/bundles.md), making, reading
and unpacking it; checks no figure (`verify` does)."""
