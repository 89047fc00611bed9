"""Interactive Connectivity Establishment: RFC 8445, 8838 (trickle), 8863 (patience), 7675 (consent).

Left out: ICE-TCP (RFC 6544), which comes with the next layer of connectivity."""
