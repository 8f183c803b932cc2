# gunicorn, its application loaded before the fork; wsgi_app.py stands beside this file.
#
#     heka-raven inbox                                             # in another terminal: http://127.0.0.1:9000/
#     gunicorn --config gunicorn.conf.py wsgi_app:application
#
# Try:    curl http://127.0.0.1:8080/fail
# Expect: gunicorn's own 500, and in the inbox a ValueError of "GET /fail".
#
# Outside uWSGI the sender is a thread of each worker; it starts with the first event, so it is after gunicorn's fork.
bind = "127.0.0.1:8080"
workers = 2
preload_app = True
