"""Every model that has a name: built in, published, described."""
