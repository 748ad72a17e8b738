"""Learning: labelled references in, a model or an account of how good it is out. For training, not for mail."""
