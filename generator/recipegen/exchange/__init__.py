"""Recipes in the forms of other projects: reading them into recipe.yaml, writing them from it. Owns both translations
and their reports; a value that comes in stays data, and nothing of a source is ever executed."""
