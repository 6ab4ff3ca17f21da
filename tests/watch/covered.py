"""Checks whose faults need more than one running server: each with the test that makes them."""

_PAIR, _PLACES, _OWN = "test_health_replication", "test_health_places", "test_health_own"
_DOWN = f"{_PLACES}.test_what_is_changed_while_it_is_down_is_told"
_ARCHIVE = f"{_PLACES}.test_archiving_that_fails_is_told"
_KERNEL = f"{_PLACES}.test_what_the_kernel_says_is_told"
_DISK = f"{_PLACES}.test_a_disk_that_fills_is_told"
_POOL = f"{_PLACES}.test_a_pool_that_is_full_is_told"
_CLEAR = f"{_PLACES}.test_what_goes_over_the_network_in_the_clear_is_told"
_REPOSITORY = f"{_PLACES}.test_what_a_repository_records_is_told"

COVERED: dict[str, str] = {
    "server.role": f"{_PAIR}.test_a_promotion_is_told",
    "subscriptions.errors": f"{_PAIR}.test_errors_of_a_subscription_are_counted",
    "slots.spilled": f"{_PAIR}.test_large_transactions_that_are_decoded_are_told",
    "server.minor": f"{_PLACES}.test_an_old_minor_version_is_told",
    "vacuum.workers": f"{_PLACES}.test_autovacuum_without_a_free_worker_is_told",
    **dict.fromkeys(("business.broken", "business.failed", "business.silent"), "test_business.test_the_collector_tells_what_is_broken"),
    "backups.copying": f"{_PLACES}.test_a_base_backup_that_hangs_is_told",
    **dict.fromkeys(("server.checksums", "server.damaged_pages", "settings.max_connections", "settings.statements"), _DOWN),
    **dict.fromkeys(("vacuum.xid_age", "vacuum.mxid_age", "vacuum.freeze", "vacuum.freeze_multixact", "vacuum.days_left"), _DOWN),
    **dict.fromkeys(
        ("archive.failing", "archive.oldest", "archive.waiting", "archive.command", "archive.off", "archive.timeout"), _ARCHIVE
    ),
    **dict.fromkeys(("host.memory", "host.swap", "host.load", "host.pressure", "host.overcommit"), _KERNEL),
    **dict.fromkeys(("host.disk", "host.disk_forecast", "host.inodes"), _DISK),
    **dict.fromkeys(("pooler.reachable", "pooler.clients", "pooler.waiting", "pooler.fill", "pooler.stopped"), _POOL),
    "security.certificate": f"{_PLACES}.test_a_certificate_that_ends_is_told",
    **dict.fromkeys(("security.plain", "security.tls"), _CLEAR),
    **dict.fromkeys(("backups.missing", "backups.age", "backups.unfinished", "backups.proof_broken", "backups.proof_expired"), _REPOSITORY),
}
