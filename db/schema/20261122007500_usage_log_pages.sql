-- migrate:up
set local role app_owner;

-- A call by its x-request-id alone.
create index usage_log_request_id_idx on data.usage_log (request_id);

-- A page of a busy account with a further filter (key, model, status) is the end of an index by time. By default the planner takes
-- an account for an average one, expects a handful of rows, and sorts all of them. This has it expect two thousand in each month.
do $$
declare
  v_table regclass;
begin
  for v_table in
    select p.relid from pg_partition_tree('data.usage_log') p where p.isleaf
    union all
    select 'data.ledger_entry'::regclass
  loop
    execute format('alter table %s alter column user_id set (n_distinct = -0.0005), alter column tenant_id set (n_distinct = -0.0005)', v_table);
  end loop;
end
$$;
reset role;

-- migrate:down
drop index data.usage_log_request_id_idx;
do $$
declare
  v_table regclass;
begin
  for v_table in
    select p.relid from pg_partition_tree('data.usage_log') p where p.isleaf
    union all
    select 'data.ledger_entry'::regclass
  loop
    execute format('alter table %s alter column user_id reset (n_distinct), alter column tenant_id reset (n_distinct)', v_table);
  end loop;
end
$$;
