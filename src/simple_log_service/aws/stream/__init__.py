"""The consumer of the table's stream: a function of its own, which brings records wherever else they are wanted."""
