# gunicorn --config gunicorn.conf.py wsgi_app:application
#
# Outside uWSGI the sender is a thread of each worker; it starts with the first event, so it is after gunicorn's fork.
bind = "127.0.0.1:8080"
workers = 2
preload_app = True
