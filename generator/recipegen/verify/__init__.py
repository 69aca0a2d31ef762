"""What a stranger can check of a bundle, or of a bare payload with its raw reports: no network, no trust. Owns the
checks and their outcome; the format of bundles is `bundle`'s, every figure `stats`'s."""
