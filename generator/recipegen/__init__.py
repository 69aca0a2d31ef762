"""recipegen: benchmark recipes for LLM inference on DGX Spark, from one YAML file to a measured row."""

__version__ = "0.1.0"
