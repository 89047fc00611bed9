"""Data channels over an SCTP association: RFC 8831, 8832.

Left out: priorities between channels."""
