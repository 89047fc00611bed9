"""Other projects' names over icelane, for programs that were written for them."""
