"""Why a venue does not start, where starting again would change nothing."""


class VenueRefused(Exception):
    """A setting is wrong, or something that a person has to provide is not there; the message says what."""
