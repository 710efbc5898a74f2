"""One construct for each capability of the AWS home. They know of each other through arguments alone."""
