"""SCTP for data channels: RFC 9260, 3758, 6525, 7053, 9653, 8831.

Left out: multihoming, interleaving (RFC 8260)."""
