"""From the log to a package: records become shards, a card and a manifest."""
