"""The built-in scoring dialects, one module each, to be read alone, and what `harness score` needs beside them.

What a dialect is, is `harness.dialects`: nothing here is needed for one of your own.
"""
