"""References: every place of a message from which some client could fetch; one file per grammar."""
