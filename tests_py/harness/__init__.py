"""What the black-box tests are made of: a server process, a client that remembers, and reports."""
