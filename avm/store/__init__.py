"""The store, step 6 of a message's journey: the only commit point, one interface, equals behind it."""
