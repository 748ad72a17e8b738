"""Words: what the banner and the page for reports say, one TOML file for each language."""
