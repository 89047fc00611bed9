"""Session descriptions: RFC 8866, 9429, 9143, 8839, 8841, 8842, 8122.

Left out: SDES keys, grouping other than BUNDLE."""
