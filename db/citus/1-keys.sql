-- Makes keys and foreign keys what Citus asks of tables distributed by tenant_id: docs/scale.md. Runs on any PostgreSQL 18, in one transaction.
-- Not a migration: on one machine the keys are as narrow as they are true.
begin;
set local role app_owner;

-- Foreign keys between shards of other tenants, or from a table that is not distributed to one that is. Whose row it is, is still checked:
-- every account is a login, and logins are on every node. It has to be so on one machine as well: what a user was booked stays with the tenant that was left.
alter table data.status_log drop constraint status_log_user_id_fkey, add foreign key (user_id) references auth.login (id);
alter table data.notification drop constraint notification_user_id_fkey, add foreign key (user_id) references auth.login (id);
alter table data.ledger_entry drop constraint ledger_entry_user_id_fkey, add foreign key (user_id) references auth.login (id);
alter table data.markup_rule drop constraint markup_rule_user_id_fkey, add foreign key (user_id) references auth.login (id);
alter table data.portkey_configs drop constraint portkey_configs_user_id_fkey, add foreign key (user_id) references auth.login (id);
alter table data.notification_preference drop constraint notification_preference_user_id_fkey, add foreign key (user_id) references auth.login (id);
alter table data.webhook_endpoint drop constraint webhook_endpoint_user_id_fkey, add foreign key (user_id) references auth.login (id);
alter table data.webhook_delivery drop constraint webhook_delivery_user_id_fkey, add foreign key (user_id) references auth.login (id);
alter table data.price_notice drop constraint price_notice_user_id_fkey, add foreign key (user_id) references auth.login (id);
alter table data.payment_order drop constraint payment_order_user_id_fkey, add foreign key (user_id) references auth.login (id);
alter table data.payment_order drop constraint payment_order_payer_id_fkey, add foreign key (payer_id) references auth.login (id);
alter table data.auto_top_up drop constraint auto_top_up_user_id_fkey, add foreign key (user_id) references auth.login (id);
alter table data.redemption_attempt drop constraint redemption_attempt_user_id_fkey, add foreign key (user_id) references auth.login (id);
alter table data.redemption_code drop constraint redemption_code_redeemed_by_fkey, add foreign key (redeemed_by) references auth.login (id);

-- Written in the transaction that has just read or written what they name.
alter table data.request_grant drop constraint request_grant_key_id_fkey, drop constraint request_grant_payer_id_fkey;
alter table data.payment_order drop constraint payment_order_ledger_entry_id_fkey;
alter table data.redemption_code drop constraint redemption_code_ledger_entry_id_fkey;
alter table data.webhook_delivery drop constraint webhook_delivery_notification_id_fkey;

-- The distribution column never changes.
alter table data.virtual_key drop constraint virtual_key_user_id_tenant_id_fkey,
  add foreign key (user_id, tenant_id) references data.user_profile (user_id, tenant_id);

-- Ids stay unique by being uuidv7; the database promises it within a tenant. They come first, so that look-ups by id alone keep their index.
alter table data.user_profile drop constraint user_profile_pkey, add primary key (tenant_id, user_id);
alter table data.virtual_key drop constraint virtual_key_pkey, add primary key (id, tenant_id),
  drop constraint virtual_key_key_hash_key, add unique (key_hash, tenant_id),
  drop constraint virtual_key_previous_key_hash_key, add unique (previous_key_hash, tenant_id);
alter table data.member_limit drop constraint member_limit_pkey, add primary key (user_id, tenant_id);
alter table data.request_grant drop constraint request_grant_pkey, add primary key (id, tenant_id);
alter table data.usage_log drop constraint usage_log_pkey, add primary key (created_at, request_id, tenant_id);
alter table data.ledger_entry drop constraint ledger_entry_pkey, add primary key (id, tenant_id),
  drop constraint ledger_entry_reference_key, add unique (reference, tenant_id);
alter table data.status_log drop constraint status_log_pkey, add primary key (id, tenant_id);
alter table data.notification drop constraint notification_pkey, add primary key (id, tenant_id),
  drop constraint notification_deduplication_key_key, add unique (deduplication_key, tenant_id);
alter table data.usage_archive_entry drop constraint usage_archive_entry_pkey, add primary key (ledger_entry_id, month, tenant_id);

-- Which tenant a key is of, before anything else is known; unique where virtual_key no longer is.
create table data.key_lookup (
  key_hash bytea primary key check (length(key_hash) = 32),
  tenant_id uuid not null references data.tenant (id),
  key_id uuid not null
);
create index key_lookup_tenant_id_idx on data.key_lookup (tenant_id);
insert into data.key_lookup (key_hash, tenant_id, key_id)
select k.key_hash, k.tenant_id, k.id from data.virtual_key k
union all
select k.previous_key_hash, k.tenant_id, k.id from data.virtual_key k where k.previous_key_hash is not null;
alter table data.key_lookup enable row level security;
alter table data.key_lookup force row level security;
create policy owner_all on data.key_lookup to app_owner using (true) with check (true);

reset role;
commit;
