"""Every system call fails once: `./run faults` (docs/reliability.rst).

A scenario runs a real process. Once it is only watched, to learn which system calls it makes; then it runs again for
each of them and each way in which that one can fail, and what is left must be whole. strace does the failing.
"""
