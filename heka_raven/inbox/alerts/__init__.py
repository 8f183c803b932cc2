"""Who is told of an issue when nobody looks: webhooks, mails, commands."""
