"""RabbitMQ between many hosts and Sentry: a publisher in place of the sender, and a consumer for relays."""
