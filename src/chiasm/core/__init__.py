"""What everything stands on: errors, config, registry, protocols, records, the shape alphabet, seeds."""
