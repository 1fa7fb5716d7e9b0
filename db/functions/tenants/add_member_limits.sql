create or replace function app.add_member_limits() returns trigger
language plpgsql volatile security definer
set search_path = ''
as $$
begin
  insert into data.member_limit (user_id, tenant_id)
  select p.user_id, p.tenant_id
  from data.user_profile p
  join data.tenant t on t.id = p.tenant_id
  where case when tg_relid = 'data.tenant'::regclass then t.id = (to_jsonb(new) ->> 'id')::uuid else p.user_id = (to_jsonb(new) ->> 'user_id')::uuid end
    and (t.member_budget is not null or t.member_rate_limits <> '{}')
  on conflict on constraint member_limit_pkey do nothing;
  return null;
end
$$;
revoke all on function app.add_member_limits() from public;
comment on function app.add_member_limits() is
$$Trigger: sees to it that a member to whom limits of the tenant apply has a row in data.member_limit, where the spending is counted.$$;

create or replace trigger _200_add_member_limits after update of member_budget, member_rate_limits on data.tenant
  for each row execute function app.add_member_limits();
create or replace trigger _200_add_member_limits after insert or update of tenant_id on data.user_profile
  for each row execute function app.add_member_limits();

create or replace trigger _500_notify_config_change after insert or update of rate_limits, budget, budget_period on data.member_limit
  for each row execute function app.notify_account_change('user', 'user_id');
