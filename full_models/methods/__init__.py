"""Methods: a loss with the parts it needs, each part once."""
