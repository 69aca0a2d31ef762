"""Developer tools that make the data of recipegen.engines.known; not part of the shipped package."""
