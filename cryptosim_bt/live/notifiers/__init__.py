"""The notifiers that ship: log, webhook, telegram."""
