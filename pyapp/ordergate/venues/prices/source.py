"""What can be wrong with a price source."""


class PricesRefused(Exception):
    """The source cannot be used: the message names the place and says what is wrong."""
