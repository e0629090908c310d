"""All fuzz targets by name: what takes octets, and fails if something is wrong."""

from fuzz import codecs, relays

TARGETS = {**codecs.TARGETS, **relays.TARGETS}
