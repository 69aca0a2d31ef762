"""What the moving names of a recipe stand for today: asks registries, the hub, package indexes, git hosts and the web.
Owns no file (`lock` does)."""
