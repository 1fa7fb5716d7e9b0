create or replace function app.metric_registry() returns table (name text, type text, help text)
language sql immutable
set search_path = ''
as $$
  values
    ('neuropia_usage_calls_total', 'counter', 'Calls in the database by what became of them, as of the last roll-up'),
    ('neuropia_usage_tokens_total', 'counter', 'Tokens billed, as of the last roll-up; cached_input and cache_write are part of input, reasoning is part of output'),
    ('neuropia_charge_total', 'counter', 'What customers were charged, as of the last roll-up'),
    ('neuropia_cost_total', 'counter', 'What the platform owes its providers, as of the last roll-up'),
    ('neuropia_margin', 'gauge', 'What the platform earned since the beginning, in the currency of the accounts, as of the last roll-up'),
    ('neuropia_tenant_calls_total', 'counter', 'Calls of a tenant, as of the last roll-up'),
    ('neuropia_tenant_charge_total', 'counter', 'What a tenant''s accounts were charged, as of the last roll-up'),
    ('neuropia_roll_up_timestamp_seconds', 'gauge', 'When usage was last rolled up'),
    ('neuropia_roll_up_waiting_seconds', 'gauge', 'Since the oldest call that is not rolled up was billed'),
    ('neuropia_accounts', 'gauge', 'Accounts by status'),
    ('neuropia_balance', 'gauge', 'Sum of the balances that are above zero (credit) and below (debt)'),
    ('neuropia_grants_held', 'gauge', 'Grants that hold money for calls in flight'),
    ('neuropia_grants_held_amount', 'gauge', 'Money that grants hold for calls in flight'),
    ('neuropia_reconciliation_differences', 'gauge', 'Differences that the last reconciliation found'),
    ('neuropia_reconciliation_timestamp_seconds', 'gauge', 'When the last reconciliation ended'),
    ('neuropia_target_disabled', 'gauge', 'Whether a target failed too often to be used while another can serve'),
    ('neuropia_target_failures', 'gauge', 'Failures of a target in a row'),
    ('neuropia_provider_keys', 'gauge', 'Provider keys by state: active, resting (failed too often), refused by the provider, inactive'),
    ('neuropia_jobs', 'gauge', 'Jobs by state: ready, running, scheduled for later, retrying after a failure, dead (given up)'),
    ('neuropia_jobs_oldest_ready_seconds', 'gauge', 'Since the oldest job that could run became ready'),
    ('neuropia_jobs_oldest_running_seconds', 'gauge', 'Since the longest running job was begun'),
    ('neuropia_webhook_deliveries', 'gauge', 'Webhook deliveries queued in the last 24 hours, by status'),
    ('neuropia_usage_partitions_ahead', 'gauge', 'Months after this one that have a partition of usage_log'),
    ('neuropia_usage_default_partition_rows', 'gauge', 'Calls in the default partition of usage_log, counted up to 1000'),
    ('neuropia_database_size_bytes', 'gauge', 'Size of the database'),
    ('neuropia_database_connections', 'gauge', 'Connections to the database by role'),
    ('neuropia_database_connections_max', 'gauge', 'Connections that PostgreSQL allows'),
    ('neuropia_database_deadlocks_total', 'counter', 'Deadlocks'),
    ('neuropia_database_transaction_age', 'gauge', 'Transactions since the oldest frozen one; PostgreSQL stops writing at 2 billion'),
    ('neuropia_wal_archiving', 'gauge', 'Whether archive_mode is on'),
    ('neuropia_wal_archived_timestamp_seconds', 'gauge', 'When a WAL segment was last archived'),
    ('neuropia_wal_archive_failed_timestamp_seconds', 'gauge', 'When archiving a WAL segment last failed');
$$;
revoke all on function app.metric_registry() from public;
comment on function app.metric_registry() is
'The metrics that app.operator_metrics gives values for: name and type as Prometheus has them, and what they mean.';
