"""Recognition: mail of actors that were met before, known again by domain, infrastructure, look-alike and thread."""
