"""Models and datasets of the Hugging Face hub: facts of a model, a first recipe from them, publishing results.

Owns no download of weights.
"""
