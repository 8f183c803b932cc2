"""A heka client for Python 3, import-compatible with heka-py 0.30.3.

It builds Heka messages, signs and frames them, and hands them to a stream. It knows nothing of Sentry or WSGI.
"""
