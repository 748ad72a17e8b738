"""What each reference is: signals, and the verdict that follows from them."""
