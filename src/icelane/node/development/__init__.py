"""A node for this machine and its LAN, for as long as `icelane dev` runs: nothing to edit, and nothing to keep.

addresses       which of the machine's addresses it listens on, and why never on a public one
ports           the first free ones
room_name       blue-otter
authority       signs the node's certificate; made once for each user, good for private addresses alone
places          where that is kept, and what a running node leaves for other commands to find it
guests          who has the link is let in
configuration   all of it as one configuration
self_test       whether every path works
trust_steps     how each system is told to trust the authority
trust_page      the same for a phone, with the certificate to download
program         how all of it comes to run
"""
