"""Publishing: brings events to the systems that an organisation named, one module for each kind of them."""
