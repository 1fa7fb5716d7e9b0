-- migrate:up
set local role app_owner;

-- Nothing makes a null but the functions that come with this.
-- squawk-ignore-file ban-drop-not-null

-- Usage rolled up more coarsely as well, for reports that need neither key nor user. The rows that are there are of the finest level, which is
-- the default: until the first roll-up after this one has made the coarse ones from them, there are no others.
alter table data.usage_hourly
  add column level text not null default 'key',
  alter column user_id drop not null,
  alter column payer_id drop not null,
  alter column key_id drop not null,
  add constraint usage_hourly_level_check check (
    case level
      when 'key' then num_nulls(user_id, payer_id, key_id) = 0
      when 'user' then num_nulls(user_id, payer_id) = 0 and key_id is null
      when 'tenant' then num_nonnulls(user_id, payer_id, key_id) = 0
      else false
    end) not valid;
alter table data.usage_daily
  add column level text not null default 'key',
  alter column user_id drop not null,
  alter column payer_id drop not null,
  alter column key_id drop not null,
  add constraint usage_daily_level_check check (
    case level
      when 'key' then num_nulls(user_id, payer_id, key_id) = 0
      when 'user' then num_nulls(user_id, payer_id) = 0 and key_id is null
      when 'tenant' then num_nonnulls(user_id, payer_id, key_id) = 0
      else false
    end) not valid;
alter table data.usage_roll_up add column has_levels boolean not null default false;

drop index data.usage_hourly_tenant_id_idx, data.usage_hourly_user_id_idx, data.usage_hourly_hour_idx;
create index usage_hourly_tenant_id_idx on data.usage_hourly (tenant_id, level, hour);
create index usage_hourly_user_id_idx on data.usage_hourly (user_id, level, hour);
create index usage_hourly_payer_id_idx on data.usage_hourly (payer_id, level, hour);
create index usage_hourly_level_idx on data.usage_hourly (level, hour);
drop index data.usage_daily_tenant_id_idx, data.usage_daily_user_id_idx, data.usage_daily_payer_id_idx, data.usage_daily_day_idx;
create index usage_daily_tenant_id_idx on data.usage_daily (tenant_id, level, day);
create index usage_daily_user_id_idx on data.usage_daily (user_id, level, day);
create index usage_daily_payer_id_idx on data.usage_daily (payer_id, level, day);
create index usage_daily_level_idx on data.usage_daily (level, day);

comment on table data.usage_hourly is 'Usage by the hour (UTC) in which it was billed: all of it at each level.';
comment on column data.usage_hourly.level is 'key: by key, user and payer; user: by user and payer; tenant: by neither. Model, provider and currencies are told apart at each.';
comment on table data.usage_daily is 'Usage by the day (UTC) on which it was billed: all of it at each level.';
comment on column data.usage_daily.level is 'As in usage_hourly.';
comment on column data.usage_roll_up.has_levels is 'Whether the levels above key are there.';
reset role;

-- migrate:down
set local role app_owner;
delete from data.usage_hourly where level <> 'key';
delete from data.usage_daily where level <> 'key';
drop index data.usage_hourly_tenant_id_idx, data.usage_hourly_user_id_idx, data.usage_hourly_payer_id_idx, data.usage_hourly_level_idx,
  data.usage_daily_tenant_id_idx, data.usage_daily_user_id_idx, data.usage_daily_payer_id_idx, data.usage_daily_level_idx;
alter table data.usage_hourly drop column level, alter column user_id set not null, alter column payer_id set not null,
  alter column key_id set not null;
alter table data.usage_daily drop column level, alter column user_id set not null, alter column payer_id set not null,
  alter column key_id set not null;
alter table data.usage_roll_up drop column has_levels;
create index usage_hourly_tenant_id_idx on data.usage_hourly (tenant_id, hour);
create index usage_hourly_user_id_idx on data.usage_hourly (user_id, hour);
create index usage_hourly_hour_idx on data.usage_hourly (hour);
create index usage_daily_tenant_id_idx on data.usage_daily (tenant_id, day);
create index usage_daily_user_id_idx on data.usage_daily (user_id, day);
create index usage_daily_payer_id_idx on data.usage_daily (payer_id, day);
create index usage_daily_day_idx on data.usage_daily (day);
reset role;
