-- migrate:up
set local role app_owner;

-- A page is the end of an index by time, for whichever account or key. The planner takes the end of an index only when it expects many
-- rows, so it is told that there are few accounts, and more keys than accounts: that makes it take the index of the narrower one. It costs
-- nothing where it is wrong: an account of few calls has a short index to read.
do $$
declare
  v_table regclass;
begin
  for v_table in select p.relid from pg_partition_tree('data.usage_log') p where p.isleaf loop
    execute format('alter table %s alter column tenant_id set (n_distinct = 5), alter column user_id set (n_distinct = 10),
      alter column key_id set (n_distinct = 100)', v_table);
  end loop;
end
$$;
reset role;

-- migrate:down
do $$
declare
  v_table regclass;
begin
  for v_table in select p.relid from pg_partition_tree('data.usage_log') p where p.isleaf loop
    execute format('alter table %s alter column user_id set (n_distinct = -0.0005), alter column tenant_id set (n_distinct = -0.0005),
      alter column key_id reset (n_distinct)', v_table);
  end loop;
end
$$;
