"""From many hosts to one server: the relay that takes Heka records, and the broker between spools."""
