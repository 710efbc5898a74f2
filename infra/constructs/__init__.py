"""One construct for each capability of the AWS home. Those beside each other know of each other through arguments alone."""
