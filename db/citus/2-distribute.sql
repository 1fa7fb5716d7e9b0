-- Distributes the tables over a Citus cluster, after 1-keys.sql: docs/scale.md. On the coordinator, as a superuser, nodes added. Not tried: there was no Citus at hand.
create extension if not exists citus;

-- The audit log and the notices of configuration changes are triggers, which Citus lets stand only when told to.
set citus.enable_unsafe_triggers = on;

-- On every node, whole. Those that others refer to come first.
select create_reference_table('auth.login');
select create_reference_table('data.tenant');
select create_reference_table('data.setting');
select create_reference_table('data.provider');
select create_reference_table('data.model');
select create_reference_table('data.provider_key');
select create_reference_table('data.model_target');
select create_reference_table('data.provider_rate');
select create_reference_table('data.provider_health');
select create_reference_table('data.exchange_rate');
select create_reference_table('data.markup_rule');
select create_reference_table('data.portkey_configs');
select create_reference_table('data.usage_archive');
select create_reference_table('data.key_lookup');

-- One group: all rows of a tenant are on one node, so that the two calls are transactions of that node.
select create_distributed_table('data.user_profile', 'tenant_id', shard_count => 64);
select create_distributed_table('data.virtual_key', 'tenant_id', colocate_with => 'data.user_profile');
select create_distributed_table('data.member_limit', 'tenant_id', colocate_with => 'data.user_profile');
select create_distributed_table('data.request_grant', 'tenant_id', colocate_with => 'data.user_profile');
select create_distributed_table('data.usage_log', 'tenant_id', colocate_with => 'data.user_profile');
select create_distributed_table('data.ledger_entry', 'tenant_id', colocate_with => 'data.user_profile');
select create_distributed_table('data.status_log', 'tenant_id', colocate_with => 'data.user_profile');
select create_distributed_table('data.notification', 'tenant_id', colocate_with => 'data.user_profile');
select create_distributed_table('data.usage_hourly', 'tenant_id', colocate_with => 'data.user_profile');
select create_distributed_table('data.usage_daily', 'tenant_id', colocate_with => 'data.user_profile');
select create_distributed_table('data.usage_total', 'tenant_id', colocate_with => 'data.user_profile');
select create_distributed_table('data.usage_archive_sum', 'tenant_id', colocate_with => 'data.user_profile');
select create_distributed_table('data.usage_archive_entry', 'tenant_id', colocate_with => 'data.user_profile');

-- On the coordinator alone, known to the others.
select citus_add_local_table_to_metadata('auth.session');
select citus_add_local_table_to_metadata('auth.refresh_token');
select citus_add_local_table_to_metadata('auth.login_attempt');
select citus_add_local_table_to_metadata('auth.limited_use');
select citus_add_local_table_to_metadata('auth.password_token');
select citus_add_local_table_to_metadata('data.audit_log');
select citus_add_local_table_to_metadata('data.notification_preference');
select citus_add_local_table_to_metadata('data.webhook_endpoint');
select citus_add_local_table_to_metadata('data.webhook_delivery');
select citus_add_local_table_to_metadata('data.price_notice');
select citus_add_local_table_to_metadata('data.price_import');
select citus_add_local_table_to_metadata('data.price_import_rate');
select citus_add_local_table_to_metadata('data.payment_channel');
select citus_add_local_table_to_metadata('data.payment_order');
select citus_add_local_table_to_metadata('data.payment_event');
select citus_add_local_table_to_metadata('data.auto_top_up');
select citus_add_local_table_to_metadata('data.redemption_batch');
select citus_add_local_table_to_metadata('data.redemption_code');
select citus_add_local_table_to_metadata('data.redemption_attempt');
select citus_add_local_table_to_metadata('data.reconciliation');
select citus_add_local_table_to_metadata('data.reconciliation_difference');
select citus_add_local_table_to_metadata('data.usage_roll_up');
select citus_add_local_table_to_metadata('data.master_key_proof');
select citus_add_local_table_to_metadata('data.latency_hourly');
