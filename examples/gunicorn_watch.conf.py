# gunicorn under the watch: what ends a worker, with its request; gunicorn_watch_app.py stands beside this file.
#
#     heka-raven inbox                                             # in another terminal: http://127.0.0.1:9000/
#     gunicorn --config gunicorn_watch.conf.py gunicorn_watch_app:application
#
# Try:    curl http://127.0.0.1:8080/sleep
# Expect: no answer; after a few seconds in the inbox an error with the tag gunicorn.event: timeout,
#         the request GET /sleep, and the Python stack, whose innermost function is `fetch` of the application.
# Try:    curl http://127.0.0.1:8080/segfault
# Expect: a fatal event with the tag gunicorn.event: segfault, the request GET /segfault and the stack.
import heka_raven.gunicorn

bind = "127.0.0.1:8080"
workers = 2
timeout = 3

heka_raven.gunicorn.watch(globals(), dsn="http://key@127.0.0.1:9000/1")
