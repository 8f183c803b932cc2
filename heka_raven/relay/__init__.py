"""The relay: takes Heka records (and envelopes from a broker) from a fleet and puts their events into its spool."""
