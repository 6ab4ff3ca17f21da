"""Checks whose faults need more than one running server: each with the test that makes them."""

COVERED: dict[str, str] = {
    "server.role": "test_health_replication.test_a_promotion_is_told",
    "subscriptions.errors": "test_health_replication.test_errors_of_a_subscription_are_counted",
    "slots.spilled": "test_health_replication.test_large_transactions_that_are_decoded_are_told",
}
