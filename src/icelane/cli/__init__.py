"""The command line: what a person touches. The one place that imports typer and rich.

Exit codes, the same for every command:

    0  well
    1  the check failed: the server answered, and something is wrong
    2  the command line or the configuration is wrong
    3  something is missing here, such as an extra
    4  the network or the peer: nothing came back, or the name leads nowhere
"""
