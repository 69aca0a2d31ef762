"""Whether a server answers sense: probes before and after a measurement. Owns no speed and no table."""
